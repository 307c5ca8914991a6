"""Many clients and little stock; a release that races its reserve; and controls that show each race without the guard."""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from services.catalog.campaigns.domain import offer_id
from services.catalog.reservations.domain import Line, Wish
from shared.audit import Actor
from shared.ids import new_id
from tests.support.catalog import CAMPAIGN, Catalog, batch_row, offer_row, reward_row, row, running_catalog, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
CLIENTS, UNITS = (1_000, 100) if SOAK else (100, 10)
PAIRS = 3_000 if SOAK else 300
AT_ONCE = 64


async def nodes(stack: AsyncExitStack, database: TestDatabase, issuer: Issuer, count: int = 2) -> list[Catalog]:
    """Several applications on one database, as several processes would be."""
    return [await stack.enter_async_context(running_catalog(database, issuer)) for _ in range(count)]


async def one_by_one(catalogs: Sequence[Catalog], wishes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every wish is a call of its own, spread over the nodes, many at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def call(number: int, one: dict[str, Any]) -> dict[str, Any]:
        async with gate:
            return (await catalogs[number % len(catalogs)].put("reservations", [one]))[0]

    return await asyncio.gather(*(call(number, one) for number, one in enumerate(wishes)))


async def alone(catalogs: Sequence[Catalog], clients: int) -> Counter[str]:
    """One unit a client, each in a transaction of its own, four at once on every node: no batch hides a missing lock."""
    line = Line(1, offer_id(CAMPAIGN, "O1"), 1, 1)
    gates = [asyncio.Semaphore(4) for _ in catalogs]

    async def call(number: int) -> str:
        which = number % len(catalogs)
        async with gates[which]:
            asked = [Wish(new_id(), CAMPAIGN, (line,), Actor("test", "test"))]
            outcome = (await catalogs[which].parts.reservations.reserve(asked))[0]
        return outcome.reasons[0].code if outcome.reasons else outcome.outcome

    return Counter(await asyncio.gather(*(call(number) for number in range(clients))))


def reasons(outcomes: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(o["reasons"][0]["code"] if o["reasons"] else o["outcome"] for o in outcomes)


def one_row(database: TestDatabase, query: str) -> tuple[Any, ...]:
    with psycopg.connect(database.superuser_url) as conn:
        found = conn.execute(query).fetchone()
        assert found is not None
        return found


@pytest.mark.proves("G9", "K7", "X3")
async def test_of_many_clients_exactly_as_many_get_a_unit_as_there_are(catalog_database: TestDatabase, issuer: Issuer) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(stock_batches=[batch_row("B1", quantity=UNITS // 2), batch_row("B2", quantity=UNITS // 2)])
        outcomes = await one_by_one(catalogs, [wish() for _ in range(CLIENTS)])
        assert reasons(outcomes) == {"held": UNITS, "out-of-stock": CLIENTS - UNITS}
        assert one_row(catalog_database, "SELECT sum(held), sum(received - held) FROM stock_batches") == (UNITS, 0)


@pytest.mark.proves("G9")
@pytest.mark.parametrize(
    ("sheets", "reason"),
    [
        ({"stock_batches": [batch_row(quantity=1)]}, "out-of-stock"),
        ({"offers": [offer_row(quota_total=1)]}, "quota-exhausted"),
        ({"offers": [offer_row(quota_per_day=1)]}, "quota-exhausted"),
        ({"budget": [row("budget", line="procurement", amount_minor=4_000)]}, "budget-exhausted"),
    ],
    ids=["stock", "quota", "quota of the day", "budget"],
)
async def test_the_last_one_goes_to_one_client(
    catalog_database: TestDatabase, issuer: Issuer, sheets: dict[str, Any], reason: str
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer, 3)
        await catalogs[0].open(**sheets)
        assert await alone(catalogs, 60) == {"held": 1, reason: 59}


async def test_control_without_the_lock_more_is_sold_than_there_is(catalog_database: TestDatabase) -> None:
    """Look, then take, without a lock in between: everybody sees the last unit."""
    with psycopg.connect(catalog_database.owner_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE naive_stock (total int, sold int)")
        conn.execute("INSERT INTO naive_stock VALUES (1, 0)")
    everybody_has_looked = asyncio.Barrier(8)

    async def buy() -> None:
        async with await psycopg.AsyncConnection.connect(catalog_database.owner_url) as conn:
            left = await (await conn.execute("SELECT total - sold FROM naive_stock")).fetchone()
            await everybody_has_looked.wait()
            if left is not None and left[0] > 0:
                await conn.execute("UPDATE naive_stock SET sold = sold + 1")

    await asyncio.gather(*(buy() for _ in range(8)))
    assert one_row(catalog_database, "SELECT total, sold FROM naive_stock") == (1, 8)


@pytest.mark.proves("G10")
async def test_a_release_that_races_its_reserve_leaks_nothing(catalog_database: TestDatabase, issuer: Issuer) -> None:
    async with AsyncExitStack() as stack:
        reserving, releasing = await nodes(stack, catalog_database, issuer)
        await reserving.open(stock_batches=[batch_row(quantity=PAIRS)])
        gate = asyncio.Semaphore(AT_ONCE)
        dice = random.Random(20261122)

        async def pair() -> tuple[str, str]:
            one = wish()
            calls = [reserving.put("reservations", [one]), releasing.put("reservations/releases", [{"id": one["id"]}])]
            order = [0, 1] if dice.random() < 0.5 else [1, 0]
            async with gate:
                answers: dict[int, Any] = {}

                async def call(which: int) -> None:
                    answers[which] = (await calls[which])[0]["outcome"]

                await asyncio.gather(*(call(which) for which in order))
            return answers[0], answers[1]

        seen = Counter(await asyncio.gather(*(pair() for _ in range(PAIRS))))
        assert seen.keys() <= {("held", "released"), ("released", "released")}
        assert one_row(catalog_database, "SELECT held, consumed FROM stock_batches") == (0, 0)
        assert one_row(catalog_database, "SELECT count(*) FROM reservations WHERE state <> 'released'") == (0,)


async def test_control_a_tombstone_in_a_table_of_its_own_leaks(catalog_database: TestDatabase) -> None:
    """Reserve looks for a tombstone and inserts; release looks for a reservation and inserts: each misses the other's."""
    with psycopg.connect(catalog_database.owner_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE naive_held (id uuid PRIMARY KEY)")
        conn.execute("CREATE TABLE naive_tombstones (id uuid PRIMARY KEY)")
    one = uuid.uuid4()
    async with (
        await psycopg.AsyncConnection.connect(catalog_database.owner_url) as reserve,
        await psycopg.AsyncConnection.connect(catalog_database.owner_url) as release,
    ):
        stone = await (await reserve.execute("SELECT 1 FROM naive_tombstones WHERE id = %s", [one])).fetchone()
        held = await (await release.execute("SELECT 1 FROM naive_held WHERE id = %s", [one])).fetchone()
        assert stone is None
        assert held is None
        await reserve.execute("INSERT INTO naive_held VALUES (%s)", [one])
        await release.execute("INSERT INTO naive_tombstones VALUES (%s)", [one])
        await reserve.commit()
        await release.commit()
    leaked = one_row(catalog_database, "SELECT count(*) FROM naive_held JOIN naive_tombstones USING (id)")
    assert leaked == (1,), "held for ever, although its release was answered"


@pytest.mark.proves("G9", "G10", "G11")
async def test_mixed_traffic_on_many_rewards_keeps_the_books_without_a_deadlock(
    catalog_database: TestDatabase, issuer: Issuer
) -> None:
    """Items of several lines in every order, repeats, releases and consumptions at once; the books are checked meanwhile."""
    rewards = [f"R{n}" for n in range(1, 9)]
    dice = random.Random(8)
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(
            rewards=[reward_row(code) for code in rewards],
            offers=[offer_row(f"O{n}", code, quota_total=40) for n, code in enumerate(rewards, start=1)],
            stock_batches=[batch_row(f"B{n}", code, 30) for n, code in enumerate(rewards, start=1)],
        )

        async def client() -> None:
            catalog = dice.choice(catalogs)
            offers = dice.sample(range(1, 9), k=dice.randint(1, 4))
            wishes = [wish(*((f"O{n}", dice.randint(1, 2)) for n in offers)) for _ in range(dice.randint(1, 4))]
            outcomes = await catalog.put("reservations", wishes)
            assert [o["outcome"] for o in await dice.choice(catalogs).put("reservations", wishes)] == [
                o["outcome"] for o in outcomes
            ]
            ids = [{"id": w["id"]} for w in wishes]
            await catalog.put(f"reservations/{dice.choice(['releases', 'consumptions', 'releases'])}", ids)

        async def auditor() -> None:
            for _ in range(10):
                assert await catalogs[0].breaks() == []
                await asyncio.sleep(0.02)

        await asyncio.gather(auditor(), *(client() for _ in range(600 if SOAK else 120)))
        assert one_row(catalog_database, "SELECT count(*) FROM reservations WHERE state = 'held'") == (0,)
        assert one_row(catalog_database, "SELECT bool_and(held = 0) FROM stock_batches") == (True,)


@pytest.mark.proves("G9", "C1")
async def test_publishing_while_customers_reserve_neither_loses_stock_nor_sells_at_the_old_price(
    catalog_database: TestDatabase, issuer: Issuer
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(stock_batches=[batch_row(quantity=200)])
        wishes = [wish() for _ in range(60)]
        outcomes, version = await asyncio.gather(
            one_by_one(catalogs, wishes),
            catalogs[0].open(offers=[offer_row(price_points=1300)], stock_batches=[batch_row(quantity=150)]),
        )
        assert version == 2
        assert reasons(outcomes).keys() <= {"held", "offer-changed"}
        held = reasons(outcomes)["held"]
        assert one_row(catalog_database, "SELECT received, held FROM stock_batches") == (150, held)
        assert (await catalogs[1].put("reservations", [wish()]))[0]["reasons"][0]["code"] == "offer-changed"
