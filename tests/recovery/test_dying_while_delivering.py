"""Fulfillment dies at each point of a parcel's way; it is booked once, told of, handed over or given back once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.recovery.load import LAMP, LAMP_POINTS, Customers
from tests.support.processes import FAILPOINT_CODE, Machine

pytestmark = pytest.mark.anyio

APP, WORKER = "fulfillment app", "fulfillment worker"
SENDING = ["dispatch.after_decision", "dispatch.after_call", "dispatch.before_commit", "dispatch.after_commit"]
TELLING = ["report.after_call", "report.before_commit", "notify.after_calls"]
AT_COUNTER = ["before_commit", "after_commit"]
WAITING = {"remind_of_pickups.before_commit": "ready", "expire_pickups.before_commit": "returned"}
CANCELLING = ["cancel.before_commit", "cancel.after_commit"]
LOSS, GIVING_UP, HEARING = "loss.before_commit", "dispatch.before_giving_up", "carrier_event.before_commit"
DELIVERING = [
    *SENDING, *TELLING, *WAITING, *CANCELLING, LOSS, GIVING_UP, HEARING,
    *(f"{deed}.{moment}" for deed in ("arrival", "handover") for moment in AT_COUNTER),
]  # fmt: skip


@asynccontextmanager
async def dying(machine: Machine, program: str, name: str) -> AsyncIterator[None]:
    """Meanwhile the program dies at this point, once."""
    before = len(machine.programs[program].deaths)
    await machine.restart({program: f"{name}:exit"})
    yield
    async with asyncio.timeout(60):
        while machine.programs[program].deaths[before:] != [FAILPOINT_CODE]:
            await asyncio.sleep(0.05)


async def order(customers: Customers, *, courier: bool) -> tuple[str, str, str]:
    """Somebody new redeems a lamp; subject, redemption and parcel."""
    [subject] = await customers.arrive(1, LAMP_POINTS)
    delivery = await customers.move_in(subject) if courier else {"way": "pickup", "branch": "B001"}
    lamp = await customers.order_goods(subject, LAMP, key=str(uuid.uuid4()), delivery=delivery)
    return subject, lamp, await customers.parcel_of(lamp)


async def until(customers: Customers, parcel: str, state: str) -> None:
    query = "SELECT state FROM parcels WHERE id = %s"
    await customers.until(lambda: customers.value("fulfillment", query, parcel) == state)


async def arrived(customers: Customers) -> tuple[str, str, str]:
    """A parcel that lies ready."""
    subject, lamp, parcel = await order(customers, courier=False)
    customers.hurry("dispatch", parcel)
    await until(customers, parcel, "in_transfer")
    assert (await customers.at_counter(parcel, "arrival")).status_code == 200
    return subject, lamp, parcel


async def must_end(customers: Customers, lamp: str, parcel: str, state: str) -> None:
    """The redemption hears of it by itself, points went once or came back once, each step is told once, the books fit."""
    query = "SELECT state FROM redemptions WHERE id = %s"
    await customers.until(lambda: customers.value("redemption", query, lamp) == state)
    await customers.all_ended()
    kinds = customers.value(
        "fulfillment", "SELECT array_agg(kind ORDER BY number) FROM parcel_events WHERE parcel_id = %s", parcel
    )
    assert len(kinds) == len(set(kinds)), kinds
    refunds = "SELECT coalesce(sum(points), 0)::int FROM postings WHERE kind = 'refunded' AND redemption_id = %s"
    back = customers.value("redemption", refunds, lamp)
    taken = customers.value("redemption", refunds.replace("refunded", "redeemed"), lamp)
    assert (abs(taken), abs(back)) == (LAMP_POINTS, 0 if state == "fulfilled" else LAMP_POINTS)
    told = "SELECT version = reported_version FROM fulfillments WHERE id = %s"
    await customers.until(lambda: bool(customers.value("fulfillment", told, lamp)))
    assert await customers.breaks() == []


@pytest.mark.proves("F1", "G18", "G22", "G30", "X3")
@pytest.mark.parametrize("name", SENDING)
async def test_it_dies_while_a_parcel_is_sent_and_the_courier_has_one(
    machine: Machine, customers: Customers, name: str
) -> None:
    _, lamp, parcel = await order(customers, courier=True)
    async with dying(machine, WORKER, name):
        customers.hurry("dispatch", parcel)
    await until(customers, parcel, "dispatched")
    number = customers.value("fulfillment", "SELECT tracking_number FROM parcels WHERE id = %s", parcel)
    assert machine.roadside.parcels[parcel]["tracking_number"] == number
    await customers.carrier_tells(parcel, "delivered")
    await must_end(customers, lamp, parcel, "fulfilled")


@pytest.mark.proves("F1", "F7", "G30", "X3")
@pytest.mark.parametrize("name", TELLING)
async def test_it_dies_while_it_tells_and_each_hears_it_once(machine: Machine, customers: Customers, name: str) -> None:
    _, lamp, parcel = await order(customers, courier=True)
    async with dying(machine, WORKER, name):
        customers.hurry("dispatch", parcel)
    await until(customers, parcel, "dispatched")
    sent = "SELECT array_agg(id::text) FROM notices WHERE state = 'sent' AND parcel_id = %s"
    await customers.until(lambda: bool(customers.value("fulfillment", sent, parcel)))
    [notice] = customers.value("fulfillment", sent, parcel)
    assert notice in machine.roadside.messages
    await customers.carrier_tells(parcel, "returned")
    await must_end(customers, lamp, parcel, "returned")


@pytest.mark.proves("F1", "G30", "G34", "X3")
@pytest.mark.parametrize("end", ["delivered", "lost"])
async def test_it_dies_while_it_hears_of_an_end_and_hears_of_it_once(machine: Machine, customers: Customers, end: str) -> None:
    _, lamp, parcel = await order(customers, courier=True)
    customers.hurry("dispatch", parcel)
    await until(customers, parcel, "dispatched")
    async with dying(machine, APP, HEARING):
        await customers.carrier_tells(parcel, end)
    await must_end(customers, lamp, parcel, "fulfilled" if end == "delivered" else "returned")


@pytest.mark.proves("F2", "G30", "X3")
@pytest.mark.parametrize("moment", AT_COUNTER)
async def test_it_dies_at_the_counter_and_the_parcel_is_taken_in_and_handed_over_once(
    machine: Machine, customers: Customers, moment: str
) -> None:
    subject, lamp, parcel = await order(customers, courier=False)
    customers.hurry("dispatch", parcel)
    await until(customers, parcel, "in_transfer")
    async with dying(machine, APP, f"arrival.{moment}"):
        assert (await customers.at_counter(parcel, "arrival")).json()["state"] == "ready"
    code = await customers.pickup_code(subject, parcel)
    async with dying(machine, APP, f"handover.{moment}"):
        assert (await customers.at_counter(parcel, "handover", code=code)).json()["state"] == "collected"
    await must_end(customers, lamp, parcel, "fulfilled")


@pytest.mark.proves("F2", "G30", "X3")
@pytest.mark.parametrize("name", WAITING)
async def test_it_dies_over_what_nobody_collects_and_reminds_or_sends_back_once(
    machine: Machine, customers: Customers, name: str
) -> None:
    _, lamp, parcel = await arrived(customers)
    days = {"ready": 1, "returned": -2}[WAITING[name]]
    customers.looks.change("fulfillment", "UPDATE parcels SET ready_until = current_date + %s WHERE id = %s", days, parcel)
    kind = name.partition(".")[0]
    async with dying(machine, WORKER, name):
        customers.looks.change("fulfillment", "DELETE FROM schedule_ticks WHERE name LIKE %s", f"{kind}%")
    if WAITING[name] == "ready":
        reminded = "SELECT count(*) FROM notices WHERE kind = 'pickup_reminder' AND parcel_id = %s"
        await customers.until(lambda: customers.value("fulfillment", reminded, parcel) == 1)
        customers.looks.change("fulfillment", "UPDATE parcels SET ready_until = current_date - 2 WHERE id = %s", parcel)
        customers.looks.change("fulfillment", "DELETE FROM schedule_ticks WHERE name LIKE %s", "expire_pickups%")
    await must_end(customers, lamp, parcel, "returned")


@pytest.mark.proves("F2", "G30", "X3")
async def test_it_dies_while_a_loss_is_said_and_points_come_back_once(machine: Machine, customers: Customers) -> None:
    _, lamp, parcel = await arrived(customers)
    async with dying(machine, APP, LOSS):
        said = await customers.at_counter(parcel, "loss", reason="burnt")
        assert said.status_code == 200, said.text
    await must_end(customers, lamp, parcel, "returned")


@pytest.mark.proves("G18", "R6", "G30", "X3")
@pytest.mark.parametrize("name", CANCELLING)
async def test_it_dies_while_a_parcel_is_stopped_and_nothing_leaves(machine: Machine, customers: Customers, name: str) -> None:
    subject, lamp, parcel = await order(customers, courier=True)
    await customers.all_ended()
    async with dying(machine, APP, name):
        answer = await customers.cancel(subject, lamp, key="one")
    assert answer.status_code in (200, 202), answer.text
    await must_end(customers, lamp, parcel, "cancelled")
    assert parcel not in machine.roadside.parcels


@pytest.mark.proves("F1", "G30", "X3")
async def test_it_dies_while_it_gives_up_what_the_courier_does_not_take(machine: Machine, customers: Customers) -> None:
    _, lamp, parcel = await order(customers, courier=True)
    machine.roadside.refuses.add(parcel)

    async def insist() -> None:
        """A minute passes between two refusals; here it does not."""
        while True:
            customers.hurry("dispatch", parcel)
            await asyncio.sleep(0.1)

    insisting = asyncio.create_task(insist())
    try:
        async with dying(machine, WORKER, GIVING_UP):
            pass
        await until(customers, parcel, "cancelled")
    finally:
        insisting.cancel()
    await must_end(customers, lamp, parcel, "cancelled")
