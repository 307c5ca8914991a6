"""The bank's gateway for messages to customers, as fulfillment speaks to it."""

from typing import Annotated

import httpx
from pydantic import BaseModel, StringConstraints, ValidationError

from services.fulfillment.notices.domain import Message, MessageRefused
from shared.http_client import FixedKey, OutcomeUnknown, Refused, ServiceClient
from shared.languages import BCP47

OF_THE_MOMENT = frozenset({403, 408, 409, 425})
"""Refusals that say nothing of the message: our key, or the moment. It is sent again."""


class _Taken(BaseModel):
    reference: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Notifications:
    """The gateway over HTTP."""

    def __init__(self, client: ServiceClient) -> None:
        """`notifications_at` makes the client."""
        self._client = client

    async def send(self, message: Message) -> str:
        """Hand a message over under our id for it, as often as it takes; the gateway's reference.

        Raises MessageRefused when it is refused for good, NotSent or OutcomeUnknown (both NeighbourUnavailable) otherwise.
        """
        body = {
            "to": message.to,
            "language": BCP47[message.language],
            "kind": message.kind,
            "text": message.text,
        }
        try:
            answer = await self._client.put(f"/v1/messages/{message.id}", body)
        except Refused as refused:
            if refused.status in OF_THE_MOMENT:
                raise OutcomeUnknown from refused
            raise MessageRefused(f"{refused.status} {refused.problem}".strip()) from refused
        try:
            return _Taken.model_validate(answer).reference
        except ValidationError as error:
            raise OutcomeUnknown from error


def notifications_at(url: str, key: str, http: httpx.AsyncClient) -> Notifications:
    """The gateway at an address. `http` is a client of its own, so that a slow gateway holds up nobody else."""
    return Notifications(ServiceClient("notifications", url, FixedKey(key), http))
