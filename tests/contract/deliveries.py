"""What redemption's client of fulfillment, and fulfillment's of redemption, send and make of the contracts between the two."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.fulfillment.fulfillments.domain import FulfillmentState, Listed
from services.fulfillment.neighbours.redemption import RedemptionOutcomes
from services.fulfillment.parcels.domain import Part as ToldPart
from services.fulfillment.parcels.domain import Way as ToldWay
from services.redemption.deliveries.domain import Branch, Part, Report
from services.redemption.deliveries.schemas import PartBody
from services.redemption.neighbours.fulfillment import Delivery, Fulfillment
from shared.audit import Actor
from shared.http_client import ServiceClient
from tests.support.contracts import TAG_BEFORE, Interaction

WORKER = Actor("service:redemption", "worker")
Answers = tuple[Any, Any]
"""What the client made of a contract, and what it should."""


def _parts(item: Mapping[str, Any]) -> tuple[Part, ...]:
    return tuple(PartBody.model_validate(part).as_part() for part in item.get("parts", ()))


async def ask_fulfillment(client: ServiceClient, contract: Interaction) -> Answers:
    """Redemption asks fulfillment."""
    fulfillment, path = Fulfillment(client), contract.request["path"]
    if path.endswith("/branches"):
        return await _ask_for_branches(fulfillment, contract)
    body, query = contract.answer["body"], contract.request.get("query", {})
    if path.endswith("/breaks"):
        return await fulfillment.breaks(query.get("after")), (body["items"], body["next"])
    if path.endswith("/cancellations"):
        ids = [UUID(item["id"]) for item in contract.request["body"]["items"]]
        return await fulfillment.cancel(ids, WORKER), {UUID(item["id"]): _stopped(item) for item in body["items"]}
    if contract.request["method"] == "PUT":
        expected = {UUID(i["id"]): Delivery(i["outcome"], i["state"], i["version"], _parts(i)) for i in body["items"]}
        return await fulfillment.accept(contract.request["body"]["items"], WORKER), expected
    if "ids" in query:
        stand = {UUID(i["id"]): Report(UUID(i["id"]), i["version"], _parts(i)) for i in body["items"]}
        return await fulfillment.stand([UUID(one) for one in query["ids"]]), stand
    return await fulfillment.fulfillments_after(UUID(query["after"]), int(query["limit"])), body["items"]


def _stopped(item: Mapping[str, Any]) -> Report:
    lines = item["cancelled_lines"]
    return Report(
        UUID(item["id"]),
        item["version"],
        _parts(item),
        is_decided=True,
        stopped=frozenset(lines or ()),
        all_stopped=lines is None,
    )


async def _ask_for_branches(fulfillment: Fulfillment, contract: Interaction) -> Answers:
    if contract.answer["status"] == 304:
        fulfillment._branches, fulfillment._branches_tag = {}, TAG_BEFORE
        return await fulfillment.branches(), {}
    expected = {item["code"]: Branch(item["code"], item["names"]) for item in contract.answer["body"]["items"] if item["open"]}
    found = await fulfillment.branches()
    assert await fulfillment.branches() is found, "remembered, not asked for again"
    return found, expected


async def tell_redemption(client: ServiceClient, contract: Interaction) -> Answers:
    """Fulfillment tells redemption."""
    told = [_listed(item) for item in contract.request["body"]["items"]]
    outcomes = {UUID(item["id"]): item["outcome"] for item in contract.answer["body"]["items"]}
    return await RedemptionOutcomes(client).take_outcomes(told), outcomes


def _listed(item: Mapping[str, Any]) -> Listed:
    parts = [
        ToldPart(
            way=ToldWay(part["way"]),
            state=part["state"],
            lines=part["lines"],
            at=datetime.fromisoformat(part["at"]),
            carrier=part.get("carrier"),
            tracking_number=part.get("tracking_number"),
            branch=part.get("branch"),
            ready_until=date.fromisoformat(part["ready_until"]) if "ready_until" in part else None,
        )
        for part in item["parts"]
    ]
    changed_at = max(part.at for part in parts)
    return Listed(UUID(item["id"]), FulfillmentState.UNDER_WAY, item["version"], False, changed_at, (), parts)
