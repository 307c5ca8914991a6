"""Lists are read by keyset: a signed cursor says after which row to go on, so nobody can point it elsewhere (G42)."""

import base64
import hashlib
import hmac
import json
from typing import Any

from shared.errors import FieldError
from shared.problems import InvalidInput

LIMIT_MAX = 100
LIMIT_DEFAULT = 20
SIGNATURE_BYTES = 16


class Cursors:
    """Makes and reads cursors for one service."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, scope: str, position: list[Any]) -> str:
        """A cursor for the list named by `scope` (route and filters), after the row at `position`."""
        raw = json.dumps(position, separators=(",", ":"), default=str).encode()
        return base64.urlsafe_b64encode(self._sign(scope, raw) + raw).decode().rstrip("=")

    def read(self, scope: str, cursor: str | None) -> list[Any] | None:
        """The position, or None at the beginning. Raises InvalidInput for a cursor that is not ours or of another list."""
        if cursor is None:
            return None
        try:
            signed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            signature, raw = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._sign(scope, raw)):
                raise ValueError("signature")
            position: list[Any] = json.loads(raw)
        except ValueError:
            raise InvalidInput(FieldError("query:cursor", "not-allowed")) from None
        return position

    def _sign(self, scope: str, raw: bytes) -> bytes:
        return hmac.digest(self._key, hashlib.sha256(scope.encode()).digest() + raw, "sha256")[:SIGNATURE_BYTES]
