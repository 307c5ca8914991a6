"""Every consumer sends what its contracts say and reads the answers in them: the same files that hold the providers."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.fulfillment.merchants.domain import Directory, Merchant
from services.fulfillment.neighbours.catalog import CatalogMerchants
from services.redemption.neighbours.catalog import Catalog, GivenBack, Outcome, Wanted, WantedLine
from shared.audit import Actor
from shared.http_client import AccessToken, ServiceClient
from tests.contract.deliveries import ask_fulfillment, tell_redemption
from tests.support.contracts import Interaction, all_of

pytestmark = [pytest.mark.anyio, pytest.mark.proves("X1")]
CUSTOMER = Actor("customer:customer-00001", "mobile-app")
WORKER = Actor("service:redemption", "worker")


class Provider(httpx.AsyncBaseTransport):
    """Answers as the contract says, and keeps what it was asked."""

    def __init__(self, contract: Interaction) -> None:
        self._contract = contract
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "identity.test":
            return httpx.Response(200, json={"access_token": "a token", "expires_in": 300}, request=request)
        self.asked.append(request)
        answer = self._contract.answer
        body = json.dumps(answer["body"]).encode() if "body" in answer else b""
        headers = {"content-type": "application/json", **answer.get("headers", {})}
        return httpx.Response(answer["status"], content=body, headers=headers, request=request)


def items_of(contract: Interaction) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = contract.request["body"]["items"]
    return found


def wanted_of(item: Mapping[str, Any]) -> Wanted:
    lines = [
        WantedLine(line["number"], UUID(line["offer_id"]), line["offer_version"], line["quantity"]) for line in item["lines"]
    ]
    return Wanted(UUID(item["id"]), item["campaign"], lines)


def given_back(item: Mapping[str, Any]) -> GivenBack:
    lines = [(line["number"], line["quantity"]) for line in item["lines"]]
    return GivenBack(UUID(item["id"]), UUID(item["reservation_id"]), item["gives_back"], lines)


def outcomes_of(contract: Interaction) -> dict[UUID, Outcome]:
    return {UUID(i["id"]): Outcome(i["outcome"], i.get("reasons") or ()) for i in contract.answer["body"]["items"]}


async def ask_for_offer(catalog: Catalog, contract: Interaction) -> tuple[Any, Any]:
    """What redemption makes of a version of an offer."""
    offer_id, _, number = contract.request["path"].removeprefix("/internal/v1/offers/").partition("/versions/")
    offer = await catalog.offer(UUID(offer_id), int(number))
    if offer is None:
        return contract.answer["status"], 404
    assert await catalog.offer(UUID(offer_id), int(number)) is offer, "remembered, not asked for again"
    limits = {"per_customer": offer.per_customer, "per_day": offer.per_day}
    read = {"campaign": offer.campaign, "price_points": offer.price_points, "limits": limits, "reward": offer.reward}
    return {**read, "voucher": offer.voucher}, contract.answer["body"]


async def ask_catalog(client: ServiceClient, contract: Interaction) -> tuple[Any, Any]:
    """What redemption's client makes of the contract, and what it should."""
    catalog, path = Catalog(client), contract.request["path"]
    if path.endswith("/reservations") and contract.request["method"] == "PUT":
        return await catalog.reserve([wanted_of(item) for item in items_of(contract)], CUSTOMER), outcomes_of(contract)
    if (settle := {"releases": catalog.release, "consumptions": catalog.consume}.get(path.rpartition("/")[2])) is not None:
        return await settle([UUID(item["id"]) for item in items_of(contract)], WORKER), outcomes_of(contract)
    if path.endswith("/returns"):
        return await catalog.give_back([given_back(item) for item in items_of(contract)], WORKER), outcomes_of(contract)
    body = contract.answer["body"]
    if path.endswith("/reservations"):
        query = contract.request["query"]
        return await catalog.reservations_after(UUID(query["after"]), int(query["limit"])), body["items"]
    if path.endswith("/breaks"):
        after = contract.request.get("query", {}).get("after")
        return await catalog.breaks(after), (body["items"], body["next"])
    return await ask_for_offer(catalog, contract)


async def ask_merchants(client: ServiceClient, contract: Interaction) -> tuple[Any, Any]:
    """The same for fulfillment's client of the catalog."""
    held = contract.request.get("headers", {}).get("if-none-match")
    read = await CatalogMerchants(client).read_merchants(held)
    if contract.answer["status"] == 304:
        return read, None
    [merchant] = contract.answer["body"]["items"]
    known = Merchant(
        code=merchant["code"],
        names=merchant["names"],
        accepts_vouchers=merchant["accepts_vouchers"],
        contract_from=date.fromisoformat(merchant["contract_from"]),
        contract_until=date.fromisoformat(merchant["contract_until"]),
        terminals=tuple(terminal["code"] for terminal in merchant["terminals"]),
    )
    return read, Directory(contract.answer["headers"]["etag"], (known,))


ASK: Mapping[str, Callable[[ServiceClient, Interaction], Awaitable[tuple[Any, Any]]]] = {
    "redemption-catalog": ask_catalog,
    "redemption-fulfillment": ask_fulfillment,
    "fulfillment-catalog": ask_merchants,
    "fulfillment-redemption": tell_redemption,
}


@pytest.mark.parametrize("contract", [c for pair in ASK for c in all_of(pair)], ids=lambda contract: contract.id)
async def test_the_consumer_sends_and_reads_what_the_contract_says(contract: Interaction) -> None:
    provider = Provider(contract)
    async with httpx.AsyncClient(transport=provider) as http:
        token = AccessToken(http, token_url="https://identity.test/token", client_id="x", client_secret="x", scope="internal")
        client = ServiceClient("provider", "https://provider.test", token, http)
        made, expected = await ASK[contract.pair](client, contract)
    assert made == expected
    [request] = provider.asked
    asked = contract.request
    assert (request.method, request.url.path) == (asked["method"], asked["path"])
    assert {name: _one_or_many(request.url.params.get_list(name)) for name in request.url.params} == asked.get("query", {})
    assert (json.loads(request.content) if request.content else None) == asked.get("body")
    assert request.headers["authorization"] == "Bearer a token"
    for name, value in asked.get("headers", {}).items():
        assert request.headers[name] == value


def _one_or_many(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def test_every_call_between_services_has_a_contract() -> None:
    """The calls that the clients can make, read from their code's paths, and those that the contracts tell of."""
    told = {(c.pair, c.request["method"], c.request["path"].split("/")[3]) for pair in ASK for c in all_of(pair)}
    assert told == {
        ("redemption-catalog", "PUT", "reservations"),
        ("redemption-catalog", "GET", "reservations"),
        ("redemption-catalog", "GET", "offers"),
        ("redemption-catalog", "GET", "breaks"),
        ("redemption-fulfillment", "PUT", "fulfillments"),
        ("redemption-fulfillment", "GET", "fulfillments"),
        ("redemption-fulfillment", "GET", "branches"),
        ("redemption-fulfillment", "GET", "breaks"),
        ("fulfillment-redemption", "PUT", "outcomes"),
        ("fulfillment-catalog", "GET", "merchants"),
    }
