"""Customers redeem and tills use while processes are killed, paused and the database crashes; nothing is lost or doubled.

The loop must be able to see damage: a client that takes a new key for each attempt is the control.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from services.catalog.books import BOOKS as CATALOG
from services.fulfillment.books import BOOKS as FULFILLMENT
from services.redemption.reconciliation.own_books import BOOKS as REDEMPTION
from shared.database import Database, DatabaseUnavailable, Overloaded
from tests.recovery.load import AT_BRANCH, LAMP, LAMP_POINTS, PRICE, Customers, Order
from tests.support.processes import LEASE_SECONDS, Machine

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
SECONDS_MIN = 600.0 if SOAK else 0.0
CUSTOMERS = 16 if SOAK else 8
POINTS = 50_000_000
SECOND_WORKER = "redemption worker 2"
KILLED = [
    "redemption app", "redemption app", "redemption worker", SECOND_WORKER, "catalog app", "fulfillment app",
    "fulfillment worker",
]  # fmt: skip
BLOWS = [*KILLED, "database", "pause", "pause"]


@dataclass
class Day:
    """What happened while it lasted."""

    is_over: bool = False
    orders: list[Order] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """Redemptions of goods that were cancelled before they left."""
    delivered: dict[str, str] = field(default_factory=dict)
    """Redemptions of goods that reached their customers, with their parcels."""
    blows: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    found: list[object] = field(default_factory=list)


async def shop(customers: Customers, day: Day, subject: str, chance: random.Random) -> None:
    """One customer: one order after the other, and a voucher of the last one at the till when it is there."""
    while not day.is_over:
        order = await customers.redeem(Order(subject, chance.randint(1, 3)))
        day.orders.append(order)
        for code in (await customers.voucher_codes(order))[:1]:
            number = f"{subject}-{order.key}"
            answer = await customers.at_till(number, code=code)
            assert answer.json()["state"] == "used", answer.text
            day.uses.append(number)


async def change_their_mind(customers: Customers, day: Day, subject: str) -> None:
    """One customer who redeems a lamp and cancels it, again and again; some of the time before it is even confirmed."""
    while not day.is_over:
        lamp = await customers.order_goods(subject, LAMP, key=str(uuid.uuid4()))
        answer = await customers.cancel(subject, lamp, key=str(uuid.uuid4()))
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled"), answer.text
        day.cancelled.append(lamp)


async def take_deliveries(customers: Customers, day: Day, subject: str, *, courier: bool) -> None:
    """One customer who redeems a lamp and has it brought, or fetches it at the branch, again and again."""
    delivery = await customers.move_in(subject) if courier else AT_BRANCH
    while not day.is_over:
        lamp = await customers.order_goods(subject, LAMP, key=str(uuid.uuid4()), delivery=delivery)
        parcel = str(await patiently(customers, "SELECT id FROM parcels WHERE fulfillment_id = %s", lamp))
        left = "UPDATE tasks SET run_at = now() WHERE kind = 'dispatch' AND ref = %s AND state = 'ready' RETURNING 1"
        await patiently(customers, left, parcel)
        on_its_way = "SELECT 1 FROM parcels WHERE id = %s AND state IN ('dispatched', 'in_transfer')"
        await patiently(customers, on_its_way, parcel)
        if courier:
            await customers.carrier_tells(parcel, "delivered")
        else:
            assert (await customers.at_counter(parcel, "arrival")).json()["state"] == "ready"
            code = await customers.pickup_code(subject, parcel)
            assert (await customers.at_counter(parcel, "handover", code=code)).json()["state"] == "collected"
        day.delivered[lamp] = parcel


async def patiently(customers: Customers, query: str, value: str, *, seconds: float = 120.0) -> object:
    """What fulfillment's database answers as soon as it answers something; it may be away meanwhile."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                if found := customers.looks.rows("fulfillment", query, value):
                    return found[0][0]
            await asyncio.sleep(0.05)


async def strike(machine: Machine, day: Day, chance: random.Random) -> None:
    """One blow after the other, at random moments: each kind once, then all again until the time is over."""
    until = time.monotonic() + SECONDS_MIN
    coming = chance.sample(BLOWS, len(BLOWS))
    while coming:
        await asyncio.sleep(chance.uniform(0.4, 1.2))
        day.blows[blow := coming.pop()] += 1
        if not coming and time.monotonic() < until:
            coming = chance.sample(BLOWS, len(BLOWS))
        if blow == "database":
            await machine.crash_database(seconds=chance.uniform(0.1, 0.6))
        elif blow == "pause":
            victim = machine.programs[chance.choice(["redemption worker", SECOND_WORKER])]
            pid = victim.pid
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(2.2 * LEASE_SECONDS)
            os.kill(pid, signal.SIGCONT)
        else:
            machine.programs[blow].send(signal.SIGKILL)
    day.is_over = True


async def audit(machine: Machine, day: Day) -> None:
    """Each service's own books, read in the middle of everything: they fit at every moment, not only afterwards."""
    books = {"redemption": REDEMPTION, "catalog": CATALOG, "fulfillment": FULFILLMENT}
    databases = {service: Database(machine.databases[service].url, pool_size=1) for service in books}
    try:
        while not day.is_over:
            for service, own in books.items():
                with contextlib.suppress(DatabaseUnavailable, Overloaded, DBAPIError):
                    day.found += await own.find_breaks(databases[service])
                    day.looks += 1
            await asyncio.sleep(0.2)
    finally:
        for database in databases.values():
            await database.dispose()


def damage(customers: Customers, orders: Sequence[Order], subjects: Sequence[str]) -> dict[str, int]:
    """How many orders happened not at all, how many redemptions nobody ordered, and what else does not fit; nothing is 0."""
    redeemed = {one: found for subject in subjects for one, found in customers.redemptions_of(subject).items()}
    ordered = {order.redemption_id: order for order in orders}
    units = {
        one: ordered[one].quantity if state == "fulfilled" else 0 for one, (state, _) in redeemed.items() if one in ordered
    }

    def wrong(service: str, query: str, times: int = 1) -> int:
        found = {str(one): int(count) for one, count in customers.looks.rows(service, query)}
        return sum(found.get(one, 0) != count * times for one, count in units.items())

    counted = {
        "lost": len(ordered.keys() - redeemed.keys()),
        "doubled": len(redeemed.keys() - ordered.keys()),
        "points": wrong(
            "redemption", "SELECT redemption_id, sum(points) FROM postings WHERE kind = 'redeemed' GROUP BY 1", PRICE
        ),
        "stock": wrong(
            "catalog", "SELECT reservation_id, sum(quantity) FROM stock_movements WHERE kind = 'consumed' GROUP BY 1"
        ),
        "vouchers": wrong("fulfillment", "SELECT fulfillment_id, count(*) FROM vouchers GROUP BY 1"),
    }
    return {name: count for name, count in counted.items() if count}


async def spend_a_day(
    machine: Machine,
    customers: Customers,
    subjects: Sequence[str],
    waverers: Sequence[str] = (),
    receivers: Sequence[str] = (),
) -> Day:
    seed = int(os.environ.get("HUANGOU_SEED", random.SystemRandom().randrange(10**6)))
    print(f"kill loop: HUANGOU_SEED={seed}")
    chance = random.Random(seed)
    day = Day()
    with machine.joined(SECOND_WORKER):
        async with asyncio.TaskGroup() as group:
            group.create_task(strike(machine, day, chance))
            group.create_task(audit(machine, day))
            for subject in subjects:
                group.create_task(shop(customers, day, subject, random.Random(chance.random())))
            for subject in waverers:
                group.create_task(change_their_mind(customers, day, subject))
            for number, subject in enumerate(receivers):
                group.create_task(take_deliveries(customers, day, subject, courier=number % 2 == 0))
        await customers.all_ended()
    done = f"{len(day.orders)} orders, {len(day.uses)} uses, {len(day.cancelled)} cancelled, {len(day.delivered)} delivered"
    print(f"{done}, {dict(day.blows)}, {day.looks} looks into the books")
    return day


@pytest.mark.proves("F1", "F2", "G18", "G19", "G22", "G27", "G29", "G30", "R6", "X3")
async def test_whatever_dies_or_stalls_every_order_happens_once_and_ends_by_itself(
    machine: Machine, customers: Customers
) -> None:
    subjects = await customers.arrive(CUSTOMERS, POINTS)
    waverers = await customers.arrive(2, LAMP_POINTS)  # points for one lamp: a refund that got lost would stop them
    receivers = await customers.arrive(4, POINTS)
    day = await spend_a_day(machine, customers, subjects, waverers, receivers)
    assert day.found == []
    assert day.looks > 3
    assert len(day.orders) >= CUSTOMERS
    assert day.blows.keys() == set(BLOWS)
    assert damage(customers, day.orders, subjects) == {}
    assert customers.value("fulfillment", "SELECT count(*) FROM uses WHERE request_number = ANY(%s)", day.uses) == len(day.uses)
    assert day.cancelled
    must_be_cancelled(customers, day.cancelled, waverers)
    assert {machine.roadside.parcels.get(parcel) is not None for parcel in day.delivered.values()} == {True, False}, (
        "either way"
    )
    await must_be_delivered(customers, day.delivered, receivers)
    for order in day.orders[:: max(1, len(day.orders) // 20)]:
        assert order.answer is not None
        again = await customers.repeat(order)
        assert (again.status_code, again.content) == (order.answer.status_code, order.answer.content)
    assert await customers.breaks() == []


def must_be_cancelled(customers: Customers, redemptions: Sequence[str], subjects: Sequence[str]) -> None:
    """All of it came back: points to the last one, units, places, limits; and nothing is on its way."""
    states = {state for subject in subjects for state, _ in customers.redemptions_of(subject).values()}
    assert states == {"cancelled"}
    ids = [uuid.UUID(one) for one in redemptions]
    balance = "SELECT array_agg(DISTINCT a.posted || ' ' || a.held) FROM accounts a JOIN customers c ON c.id = a.customer_id "
    assert customers.value("redemption", balance + "WHERE c.subject = ANY(%s)", list(subjects)) == [f"{LAMP_POINTS} 0"]
    assert customers.value("catalog", "SELECT count(*) FROM reservations WHERE id = ANY(%s) AND state <> 'released'", ids) == 0
    sent = "SELECT count(*) FROM fulfillments WHERE id = ANY(%s) AND state <> 'cancelled'"
    assert customers.value("fulfillment", sent, ids) == 0


async def must_be_delivered(customers: Customers, delivered: Mapping[str, str], subjects: Sequence[str]) -> None:
    """Each reached its customer once, was paid for once, left the stock once; redemption and the courier know of just these."""
    ids = [uuid.UUID(one) for one in delivered]
    fulfilled = "SELECT count(*) FROM redemptions WHERE id = ANY(%s) AND state = 'fulfilled'"
    await customers.until(lambda: customers.value("redemption", fulfilled, ids) == len(ids))
    await customers.all_ended()
    redeemed = {one: state for subject in subjects for one, (state, _) in customers.redemptions_of(subject).items()}
    assert redeemed == dict.fromkeys(delivered, "fulfilled")
    posted = "SELECT count(*), coalesce(sum(abs(points)), 0)::int FROM postings WHERE kind = '{}' AND redemption_id = ANY(%s)"
    paid = customers.looks.rows("redemption", posted.format("redeemed"), ids)
    assert paid == [(len(ids), len(ids) * LAMP_POINTS)]
    assert customers.looks.rows("redemption", posted.format("refunded"), ids) == [(0, 0)]
    units = "SELECT coalesce(sum(quantity), 0)::int FROM stock_movements WHERE kind = 'consumed' AND reservation_id = ANY(%s)"
    assert customers.value("catalog", units, ids) == len(ids)
    parcels = customers.looks.rows(
        "fulfillment", "SELECT id::text, tracking_number FROM parcels WHERE fulfillment_id = ANY(%s)", ids
    )
    assert {parcel for parcel, _ in parcels} == set(delivered.values())
    booked = {one: known["tracking_number"] for one, known in customers.machine.roadside.parcels.items()}
    assert {(parcel, booked.get(parcel)) for parcel, _ in parcels} == set(parcels)


async def test_control_a_client_with_a_new_key_for_each_attempt_is_seen_to_redeem_twice(
    machine: Machine, customers: Customers
) -> None:
    subjects = await customers.arrive(1, POINTS)
    await machine.restart({"redemption app": "accept.after_commit:exit"})
    order = await customers.redeem(Order(subjects[0], fresh_key_each_time=True))
    await customers.all_ended()
    assert damage(customers, [order], subjects) == {"doubled": 1}


async def test_control_a_voucher_that_is_missing_and_points_that_are_taken_twice_are_seen(
    machine: Machine, customers: Customers
) -> None:
    subjects = await customers.arrive(1, POINTS)
    order = await customers.redeem(Order(subjects[0], 2))
    await customers.all_ended()
    assert damage(customers, [order], subjects) == {}
    twice = Order(subjects[0], 1, key=order.key, answer=order.answer)
    assert damage(customers, [twice], subjects) == {"points": 1, "stock": 1, "vouchers": 1}
