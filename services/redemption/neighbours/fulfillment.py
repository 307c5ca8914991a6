"""Fulfillment: hands out what was redeemed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.redemption.neighbours.catalog import actor_json
from shared.audit import Actor
from shared.http_client import ServiceClient


@dataclass(frozen=True, slots=True)
class Delivery:
    """What fulfillment says of one redemption: accepted, mismatch or cancelled; and how far it is."""

    outcome: str
    state: str


class Fulfillment:
    """Talks to fulfillment in redemption's words. Raises what ServiceClient raises."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def accept(self, items: Sequence[dict[str, Any]], actor: Actor) -> dict[UUID, Delivery]:
        """Ask for redemptions to be fulfilled; sending again is the same request."""
        answer = await self._client.put("/internal/v1/fulfillments", {"actor": actor_json(actor), "items": list(items)})
        return {UUID(item["id"]): Delivery(item["outcome"], item.get("state") or "") for item in answer["items"]}

    async def fulfillments_after(self, after: UUID, limit: int) -> list[dict[str, Any]]:
        """A page of fulfillments in the order of their ids, for the check of the books."""
        page: list[dict[str, Any]] = (await self._client.get("/internal/v1/fulfillments", after=after, limit=limit))["items"]
        return page

    async def breaks(self, after: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """What fulfillment finds wrong in a part of its own books, and where the next part begins; None at the end."""
        found = await self._client.get("/internal/v1/breaks", after=after)
        return found["items"], found.get("next")
