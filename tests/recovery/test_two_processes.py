"""Two API processes of one service, as many machines would run them: what must happen once happens once between them."""

import asyncio
import uuid
from collections import Counter

import httpx
import pytest

from services.catalog.campaigns.domain import offer_id
from tests.recovery.load import PRICE, Customers, Order, persist
from tests.support.catalog import CAMPAIGN
from tests.support.processes import Machine

pytestmark = pytest.mark.anyio


def counted(answers: list[httpx.Response]) -> Counter[str]:
    """How many had which status or problem."""
    return Counter(a.json()["type"].rpartition("/")[2] if a.status_code >= 400 else str(a.status_code) for a in answers)


@pytest.mark.proves("G14", "F5")
async def test_a_hundred_uses_of_one_code_on_two_processes_are_one(machine: Machine, customers: Customers) -> None:
    [subject] = await customers.arrive(1, PRICE)
    order = await customers.redeem(Order(subject))
    await customers.all_ended()
    [code] = await customers.voucher_codes(order)
    with machine.joined("fulfillment app 2") as second:
        await machine.ready("fulfillment app 2")
        doors = (machine.url("fulfillment"), f"http://127.0.0.1:{second.port}")

        async def use(number: int) -> httpx.Response:
            address, till = f"{doors[number % 2]}/v1/uses/{subject}-{number}", customers.issuer.till()
            return await persist(lambda: customers.client.put(address, json={"code": code}, headers=till))

        answers = await asyncio.gather(*[use(number) for number in range(100)])
    assert counted(list(answers)) == {"200": 1, "voucher-already-used": 99}
    assert await customers.breaks() == []


@pytest.mark.proves("G2", "R2")
async def test_points_for_ten_on_two_processes_pay_for_ten_of_fifty(machine: Machine, customers: Customers) -> None:
    [subject] = await customers.arrive(1, 10 * PRICE)
    wish = {"campaign": CAMPAIGN, "lines": [{"offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1}]}
    with machine.joined("redemption app 2") as second:
        await machine.ready("redemption app 2")
        doors = (machine.url("redemption"), f"http://127.0.0.1:{second.port}")

        async def redeem(number: int) -> httpx.Response:
            headers = {**customers.issuer.customer(subject), "Idempotency-Key": str(uuid.uuid4())}
            address = f"{doors[number % 2]}/v1/redemptions"
            return await persist(lambda: customers.client.post(address, json=wish, headers=headers))

        answers = await asyncio.gather(*[redeem(number) for number in range(50)])
    assert counted(list(answers)) == {"201": 10, "insufficient-points": 40}
    await customers.all_ended()
    assert await customers.breaks() == []
