"""Journeys of goods on the running suite: to the door, to a branch, cancelled in time or too late, back when nobody comes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from deploy.local.branches import read_branches
from deploy.local.speaking import Speaker
from tests.journeys.conftest import CAMPAIGN, SAMPLES
from tests.journeys.machines import Machine

pytestmark = pytest.mark.anyio

POWER_BANK, KETTLE, COOKER = "O064", "O069", "O070"
BRANCH, BRANCH_STAFF = "B001", "branch-1"
ADDRESS = {
    "recipient": "样例收件人", "phone": "+442079461999", "province": "上海市", "city": "上海市", "district": "浦东新区",
    "street": "世纪大道 9100 号", "is_default": True,
}  # fmt: skip
PATIENCE_SECONDS = 60.0


class Customer:
    """Somebody with the bank's app."""

    def __init__(self, speaker: Speaker, who: str) -> None:
        self.speaker, self.who = speaker, who

    async def get(self, service: str, path: str, **query: Any) -> Any:
        """Read as this customer."""
        return (await self.speaker.call("GET", service, path, who=self.who, params=query)).json()

    async def points(self) -> int:
        """What is on the account, nothing of it being held."""
        customer = (await self.get("redemption", "/v1/me"))["customer_id"]
        account = await self.get("redemption", f"/v1/customers/{customer}/points")
        assert account["held"] == 0
        return int(account["balance"])

    async def order(self, code: str, delivery: dict[str, str]) -> httpx.Response:
        """Redeem one of an offer, delivered that way."""
        offers = (await self.get("catalog", f"/v1/campaigns/{CAMPAIGN}/offers", limit=100))["items"]
        [offer] = [item for item in offers if item["code"] == code]
        line = {"offer_id": offer["id"], "offer_version": offer["version"], "quantity": 1}
        body = {"campaign": CAMPAIGN, "lines": [line], "delivery": delivery}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return await self.speaker.answer("POST", "redemption", "/v1/redemptions", who=self.who, json=body, headers=headers)

    async def home(self) -> dict[str, str]:
        """By courier to an address that is kept now."""
        address = str(uuid.uuid4())
        await self.speaker.call("PUT", "redemption", f"/v1/addresses/{address}", who=self.who, json=ADDRESS)
        return {"way": "courier", "address_id": address}

    async def cancel(self, order: str) -> httpx.Response:
        """Cancel, and ask until it is decided."""
        headers, path = {"Idempotency-Key": str(uuid.uuid4())}, f"/v1/redemptions/{order}/cancellation"
        body = {"reason": "changed my mind"}
        while True:
            answer = await self.speaker.answer("POST", "redemption", path, who=self.who, json=body, headers=headers)
            if answer.status_code != 202:
                return answer
            await asyncio.sleep(0.3)

    async def parcel(self, order: str) -> dict[str, Any]:
        """The parcel of an order; empty while there is none."""
        parcels = (await self.get("fulfillment", "/v1/parcels"))["items"]
        return next((parcel for parcel in parcels if parcel["fulfillment_id"] == order), {})

    async def until_parcel(self, order: str, state: str) -> dict[str, Any]:
        """Wait until the parcel of an order is in a state."""
        return await until(lambda: self.parcel(order), state)

    async def until_order(self, order: str, state: str) -> dict[str, Any]:
        """Wait until an order is in a state."""
        return await until(lambda: self.get("redemption", f"/v1/redemptions/{order}"), state)


async def until(look: Callable[[], Awaitable[Any]], state: str) -> dict[str, Any]:
    """Look until what is seen is in a state."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await look()).get("state") != state:
            await asyncio.sleep(0.3)
    return found


@pytest.fixture
async def speaker(loaded: Machine) -> AsyncIterator[Speaker]:
    async with Speaker(loaded.suite) as speaker:
        await speaker.write_branches(read_branches((SAMPLES / "branches.csv").read_bytes()))
        yield speaker


def ordered(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    order: str = answer.json()["id"]
    return order


@pytest.mark.proves("F1", "R6", "R8", "K2", "G18")
async def test_goods_come_to_the_door_and_can_be_cancelled_until_they_leave(loaded: Machine, speaker: Speaker) -> None:
    keeping, wavering = Customer(speaker, "customer-00005"), Customer(speaker, "customer-00512")
    had = await wavering.points()
    home = await wavering.home()
    first = ordered(await wavering.order(COOKER, home))
    assert (await wavering.order(COOKER, home)).json()["type"].endswith("/limit-reached")
    cancelled = await wavering.cancel(first)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled"), cancelled.text
    assert await wavering.points() == had
    second = ordered(await wavering.order(COOKER, home))

    order = ordered(await keeping.order(POWER_BANK, await keeping.home()))
    parcel = await keeping.until_parcel(order, "delivered")
    assert parcel["tracking_number"]
    assert [event["kind"] for event in parcel["events"]][-4:] == ["picked_up", "in_transit", "out_for_delivery", "delivered"]
    shown = await keeping.until_order(order, "fulfilled")
    assert parcel["tracking_number"] in shown["timeline"][-1]["words"]

    late = await wavering.cancel(second)
    assert late.status_code == 409, late.text
    assert late.json()["type"].endswith("/too-late-to-cancel")
    await wavering.until_order(second, "fulfilled")
    assert await wavering.points() == had - 21_000
    assert loaded.huangou("reconcile").returncode == 0


@pytest.mark.proves("F2", "P2", "R6")
async def test_goods_wait_at_the_branch_and_go_back_when_nobody_comes(loaded: Machine, speaker: Speaker) -> None:
    coming, absent = Customer(speaker, "customer-00017"), Customer(speaker, "customer-00021")
    had, to_branch = await absent.points(), {"way": "pickup", "branch": BRANCH}
    orders = {customer: ordered(await customer.order(KETTLE, to_branch)) for customer in (coming, absent)}
    parcels = {customer: await customer.until_parcel(order, "in_transfer") for customer, order in orders.items()}

    async def at_counter(customer: Customer, what: str, **sent: Any) -> httpx.Response:
        path = f"/v1/parcels/{parcels[customer]['id']}/{what}"
        return await speaker.answer("PUT", "fulfillment", path, who=BRANCH_STAFF, **sent)

    for customer in orders:
        assert (await at_counter(customer, "arrival")).json()["state"] == "ready"
    code = (await coming.get("fulfillment", f"/v1/parcels/{parcels[coming]['id']}/pickup-code"))["code"]
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert (await at_counter(coming, "handover", json={"code": wrong})).json()["type"].endswith("/pickup-code-wrong")
    for _ in range(2):
        assert (await at_counter(coming, "handover", json={"code": code})).json()["state"] == "collected"
    await coming.until_order(orders[coming], "fulfilled")

    if loaded.has_database_at_hand:  # the last day has to be moved into the past: nobody waits two weeks for a test
        let_the_last_day_pass(loaded, parcels[absent]["id"])
        await absent.until_parcel(orders[absent], "returned")
        shown = await absent.until_order(orders[absent], "returned")
        assert [(one["kind"], one["state"], one["points"]) for one in shown["returns"]] == [
            ("not_collected", "refunded", 13_800)
        ]
        assert await absent.points() == had
    assert loaded.huangou("reconcile").returncode == 0


def let_the_last_day_pass(machine: Machine, parcel: str) -> None:
    with psycopg.connect(machine.suite.database_url("fulfillment", "owner")) as conn:
        conn.execute("UPDATE parcels SET ready_until = ready_until - 30 WHERE id = %s", [parcel])
        conn.execute("DELETE FROM schedule_ticks WHERE name = 'expire_pickups'")
