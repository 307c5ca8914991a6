"""Whether a message to a carrier's address was signed by that carrier, a moment ago."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import structlog
from fastapi import Request

from shared.problems import NotFound
from shared.webhooks import SignatureInvalid, require_recent, signed_at

log = structlog.get_logger()


class CarrierSignatures:
    """The keys by which carriers sign: while one is changed, both its old and its new key hold."""

    def __init__(self, secrets: Mapping[str, Sequence[bytes]], now: Callable[[], Awaitable[datetime]]) -> None:
        """`now` tells the database's time; it is asked for nothing that is not signed."""
        self._secrets = secrets
        self._now = now

    async def verify(self, request: Request) -> None:
        """Raises NotFound for a carrier that is not known, SignatureInvalid for what it did not sign just now."""
        secrets = self._secrets.get(request.path_params["carrier"])
        if secrets is None:
            raise NotFound
        try:
            at = signed_at(secrets, request.headers, await request.body())
            require_recent(at, await self._now())
        except SignatureInvalid:
            log.warning("carrier_signature_refused", carrier=request.path_params["carrier"])
            raise
