"""Redemption, as fulfillment speaks to it: it is told how far what it asked for is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.fulfillment.fulfillments.domain import Listed
from services.fulfillment.parcels.domain import Part
from shared.http_client import OutcomeUnknown, ServiceClient

OUTCOMES = "/internal/v1/outcomes"
ACTOR = {"kind": "service", "subject": "fulfillment", "channel": "worker", "reason": ""}


class RedemptionOutcomes:
    """Redemption over HTTP. Raises what ServiceClient raises."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def take_outcomes(self, told: Sequence[Listed]) -> dict[UUID, str]:
        """Say how each fulfillment stands. The same again, or an older one, changes nothing there."""
        items = [
            {"id": str(listed.id), "version": listed.version, "parts": [_part(part) for part in listed.parts]}
            for listed in told
        ]
        answer = await self._client.put(OUTCOMES, {"actor": ACTOR, "items": items})
        try:
            return {UUID(item["id"]): str(item["outcome"]) for item in answer["items"]}
        except (KeyError, TypeError, ValueError) as error:  # somebody else answered
            raise OutcomeUnknown from error


def _part(part: Part) -> dict[str, Any]:
    """A part as it is told: what it does not have is left out."""
    said: dict[str, Any] = {"way": part.way.value, "state": part.state, "lines": list(part.lines), "at": part.at.isoformat()}
    facts = {
        "carrier": part.carrier,
        "tracking_number": part.tracking_number,
        "branch": part.branch,
        "ready_until": None if part.ready_until is None else part.ready_until.isoformat(),
    }
    return said | {name: fact for name, fact in facts.items() if fact is not None}
