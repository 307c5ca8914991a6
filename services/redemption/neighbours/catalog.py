"""The catalog: offers as they were at a version, and the stock that everybody shares."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.redemption.offers.domain import Offer
from shared.audit import Actor
from shared.http_client import Refused, ServiceClient

OFFERS_REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class WantedLine:
    """So many of one offer."""

    number: int
    offer_id: UUID
    offer_version: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one redemption wants to be kept for it."""

    redemption_id: UUID
    campaign: str
    lines: Sequence[WantedLine]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a return document gives back: `stock_and_places`, `stock` or `nothing`, and (number, quantity) of lines."""

    return_id: UUID
    redemption_id: UUID
    gives_back: str
    lines: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the catalog says of one item: held, refused, released, consumed, returned, too_many, mismatch or unknown."""

    outcome: str
    reasons: Sequence[dict[str, Any]] = field(default_factory=tuple)


class Catalog:
    """Talks to the catalog in redemption's words. Raises what ServiceClient raises."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._offers: OrderedDict[tuple[UUID, int], Offer] = OrderedDict()

    async def offer(self, offer_id: UUID, version: int) -> Offer | None:
        """One version of an offer, remembered for good: a version never changes. None when there is no such version."""
        known = self._offers.get((offer_id, version))
        if known is not None:
            return known
        try:
            found = await self._client.get(f"/internal/v1/offers/{offer_id}/versions/{version}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        offer = Offer(
            id=offer_id,
            version=version,
            campaign=found["campaign"],
            reward=found["reward"],
            voucher=found["voucher"],
            price_points=found["price_points"],
            per_customer=found["limits"]["per_customer"],
            per_day=found["limits"]["per_day"],
        )
        self._offers[offer_id, version] = offer
        while len(self._offers) > OFFERS_REMEMBERED_MAX:
            self._offers.popitem(last=False)
        return offer

    async def reserve(self, wanted: Sequence[Wanted], actor: Actor) -> dict[UUID, Outcome]:
        """Keep stock, quota and budget for redemptions, each whole or not at all; sending again is the same request."""
        items = [
            {
                "id": w.redemption_id,
                "campaign": w.campaign,
                "lines": [
                    {
                        "number": line.number,
                        "offer_id": line.offer_id,
                        "offer_version": line.offer_version,
                        "quantity": line.quantity,
                    }
                    for line in w.lines
                ],
            }
            for w in wanted
        ]
        return await self._put("/internal/v1/reservations", items, actor)

    async def release(self, redemption_ids: Sequence[UUID], actor: Actor) -> dict[UUID, Outcome]:
        """Give back what redemptions held; an unknown id leaves a tombstone, so that a late attempt takes nothing."""
        return await self._put("/internal/v1/reservations/releases", [{"id": r} for r in redemption_ids], actor)

    async def consume(self, redemption_ids: Sequence[UUID], actor: Actor) -> dict[UUID, Outcome]:
        """What was held has been handed out."""
        return await self._put("/internal/v1/reservations/consumptions", [{"id": r} for r in redemption_ids], actor)

    async def give_back(self, documents: Sequence[GivenBack], actor: Actor) -> dict[UUID, Outcome]:
        """Tell what came back of what was held or handed out, by the return document; sending again is the same request."""
        items = [
            {
                "id": document.return_id,
                "reservation_id": document.redemption_id,
                "gives_back": document.gives_back,
                "lines": [{"number": number, "quantity": quantity} for number, quantity in document.lines],
            }
            for document in documents
        ]
        return await self._put("/internal/v1/reservations/returns", items, actor)

    async def reservations_after(self, after: UUID, limit: int) -> list[dict[str, Any]]:
        """A page of reservations in the order of their ids, for the check of the books."""
        page: list[dict[str, Any]] = (await self._client.get("/internal/v1/reservations", after=after, limit=limit))["items"]
        return page

    async def breaks(self, after: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """What the catalog finds wrong in a part of its own books, and where the next part begins; None at the end."""
        found = await self._client.get("/internal/v1/breaks", after=after)
        return found["items"], found.get("next")

    async def _put(self, path: str, items: list[dict[str, Any]], actor: Actor) -> dict[UUID, Outcome]:
        answer = await self._client.put(path, {"actor": actor_json(actor), "items": items})
        return {UUID(item["id"]): Outcome(item["outcome"], item.get("reasons") or ()) for item in answer["items"]}


def actor_json(actor: Actor) -> dict[str, str]:
    """On whose behalf this service calls; the receiver believes it because the token is a service's."""
    kind, _, subject = actor.name.partition(":")
    return {"kind": kind, "subject": subject, "channel": actor.channel, "reason": actor.reason}
