"""Fulfillment: hands out what was redeemed, knows the branches, and decides whether something can still be stopped."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from services.redemption.deliveries.domain import Branch, Part, Report
from services.redemption.deliveries.schemas import PartBody
from services.redemption.neighbours.catalog import actor_json
from shared.audit import Actor
from shared.http_client import Refused, ServiceClient
from shared.problems import NeighbourUnavailable

FULFILLMENTS = "/internal/v1/fulfillments"
BRANCHES = "/internal/v1/branches"
BRANCHES_REMEMBERED_SECONDS = 60.0
BRANCHES_ASKED_AGAIN_SECONDS = 5.0
"""After an attempt that failed: what is remembered serves meanwhile."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What fulfillment says of one redemption: accepted, mismatch or cancelled; how far it is; and of which version that is."""

    outcome: str
    state: str
    version: int = 0
    parts: tuple[Part, ...] = ()

    def report(self, redemption_id: UUID) -> Report:
        """What this means for the redemption; one that was stopped before it was asked for has no parts."""
        never_began = self.outcome == "cancelled" and not self.parts
        return Report(redemption_id, self.version, self.parts, all_stopped=never_began)


class Fulfillment:
    """Talks to fulfillment in redemption's words. Raises what ServiceClient raises.

    An item of an answer that cannot be understood is left out and logged: it does not hold up the others.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._branches: Mapping[str, Branch] | None = None
        self._branches_tag = ""
        self._branches_until = float("-inf")

    async def accept(self, items: Sequence[dict[str, Any]], actor: Actor) -> dict[UUID, Delivery]:
        """Ask for redemptions to be fulfilled; sending again is the same request."""
        answer = await self._client.put(FULFILLMENTS, {"actor": actor_json(actor), "items": list(items)})
        found: dict[UUID, Delivery] = {}
        for item in answer["items"]:
            parts = _parts(item)
            if parts is not None:
                state, version = item.get("state") or "", item.get("version") or 0
                found[UUID(item["id"])] = Delivery(item["outcome"], state, version, parts)
        return found

    async def cancel(self, redemption_ids: Sequence[UUID], actor: Actor) -> dict[UUID, Report]:
        """Ask to stop what has not left yet; an unknown one is stopped before it begins. Sending again is the same request."""
        items = [{"id": redemption_id} for redemption_id in redemption_ids]
        answer = await self._client.put(f"{FULFILLMENTS}/cancellations", {"actor": actor_json(actor), "items": items})
        found: dict[UUID, Report] = {}
        for item in answer["items"]:
            parts = _parts(item)
            if parts is None or item["outcome"] not in ("cancelled", "partly", "too_late"):
                continue
            lines = item.get("cancelled_lines")
            found[UUID(item["id"])] = Report(
                UUID(item["id"]),
                item["version"],
                parts,
                is_decided=True,
                stopped=frozenset(lines or ()),
                all_stopped=item["outcome"] == "cancelled" and lines is None,
            )
        return found

    async def stand(self, redemption_ids: Sequence[UUID]) -> dict[UUID, Report]:
        """How the fulfillments of redemptions stand now; those that it does not know are missing."""
        answer = await self._client.get(FULFILLMENTS, ids=[str(redemption_id) for redemption_id in redemption_ids])
        found: dict[UUID, Report] = {}
        for item in answer["items"]:
            parts = _parts(item)
            if parts:
                found[UUID(item["id"])] = Report(UUID(item["id"]), item["version"], parts)
        return found

    async def branches(self) -> Mapping[str, Branch]:
        """The branches that are open, by code; at most a minute old unless fulfillment cannot be reached.

        Raises NeighbourUnavailable when it cannot be reached and never was.
        """
        if time.monotonic() < self._branches_until and self._branches is not None:
            return self._branches
        headers = {"If-None-Match": self._branches_tag} if self._branches_tag else {}
        try:
            answer = await self._client.send("GET", BRANCHES, headers=headers)
            if answer.status_code != 304:
                self._branches = _open_branches(answer.json()["items"])
                self._branches_tag = answer.headers.get("etag", "")
            self._branches_until = time.monotonic() + BRANCHES_REMEMBERED_SECONDS
        except (NeighbourUnavailable, Refused, ValueError, KeyError, TypeError) as error:
            if self._branches is None:
                raise NeighbourUnavailable from error
            log.warning("branches_are_old", error=type(error).__name__)
            self._branches_until = time.monotonic() + BRANCHES_ASKED_AGAIN_SECONDS
        assert self._branches is not None, "a 304 answers a tag, and there is none without branches"
        return self._branches

    async def fulfillments_after(self, after: UUID, limit: int) -> list[dict[str, Any]]:
        """A page of fulfillments in the order of their ids, for the check of the books."""
        page: list[dict[str, Any]] = (await self._client.get(FULFILLMENTS, after=after, limit=limit))["items"]
        return page

    async def breaks(self, after: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """What fulfillment finds wrong in a part of its own books, and where the next part begins; None at the end."""
        found = await self._client.get("/internal/v1/breaks", after=after)
        return found["items"], found.get("next")


def _open_branches(items: Sequence[Mapping[str, Any]]) -> dict[str, Branch]:
    return {item["code"]: Branch(item["code"], item["names"]) for item in items if item["open"]}


def _parts(item: Mapping[str, Any]) -> tuple[Part, ...] | None:
    """The parts of which an item tells; None when they cannot be understood."""
    try:
        return tuple(PartBody.model_validate(part).as_part() for part in item.get("parts") or ())
    except ValidationError as error:
        log.warning("parts_not_understood", redemption=str(item.get("id")), errors=error.error_count())
        return None
