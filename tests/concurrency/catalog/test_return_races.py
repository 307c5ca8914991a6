"""What comes back, while it comes back again, is released or handed out; and controls that show each race without the guard."""

import asyncio
import os
import random
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from tests.concurrency.catalog.test_reservation_races import nodes, one_row
from tests.support.catalog import Catalog, batch_row, offer_row, reward_row, row, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
ROUNDS = 600 if SOAK else 60
AT_ONCE = 32
COUNTERS = "SELECT sum(held), sum(consumed) FROM stock_batches"
PLACES = "SELECT sum(total_taken) FROM quotas"
BUDGET = "SELECT committed_minor, spent_minor FROM budget_lines WHERE line = 'procurement'"


def returned(reservation: dict[str, Any], quantity: int, gives_back: str = "stock_and_places", line: int = 1) -> dict[str, Any]:
    lines = [{"number": line, "quantity": quantity}]
    return {"id": str(uuid.uuid4()), "reservation_id": reservation["id"], "gives_back": gives_back, "lines": lines}


async def at_once(*calls: Any) -> list[str]:
    """The outcomes of calls of one item each."""
    return [answer[0]["outcome"] for answer in await asyncio.gather(*calls)]


async def reserved(catalog: Catalog, *lines: tuple[str, int], consumed: bool = False) -> dict[str, Any]:
    found = wish(*lines)
    assert (await catalog.put("reservations", [found]))[0]["outcome"] == "held"
    if consumed:
        await catalog.put("reservations/consumptions", [{"id": found["id"]}])
    return found


@pytest.mark.proves("K7", "X3", "G11")
@pytest.mark.parametrize("consumed", [False, True], ids=["held", "handed out"])
async def test_one_document_that_comes_from_everywhere_at_once_gives_back_once(
    catalog_database: TestDatabase, issuer: Issuer, consumed: bool
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer, 3)
        await catalogs[0].open(stock_batches=[batch_row(quantity=5 * ROUNDS)])

        async def round_of(_: int) -> None:
            reservation = await reserved(catalogs[0], ("O1", 5), consumed=consumed)
            document = returned(reservation, 2)
            outcomes = await at_once(*(catalogs[n % 3].put("reservations/returns", [document]) for n in range(6)))
            assert set(outcomes) == {"returned"}

        await in_turns(round_of, ROUNDS)
        left = 3 * ROUNDS
        assert one_row(catalog_database, COUNTERS) == ((0, left) if consumed else (left, 0))
        assert one_row(catalog_database, PLACES) == (left,)
        assert one_row(catalog_database, "SELECT count(*) FROM reservation_returns") == (ROUNDS,)


@pytest.mark.proves("K7", "G9")
async def test_of_documents_for_more_than_was_taken_only_as_many_are_taken_as_there_are_units(
    catalog_database: TestDatabase, issuer: Issuer
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer, 3)
        await catalogs[0].open(stock_batches=[batch_row("B1", quantity=3 * ROUNDS), batch_row("B2", quantity=3 * ROUNDS)])

        async def round_of(_: int) -> Counter[str]:
            reservation = await reserved(catalogs[0], ("O1", 3), consumed=True)
            calls = (catalogs[n % 3].put("reservations/returns", [returned(reservation, 1, "stock")]) for n in range(8))
            return Counter(await at_once(*calls))

        assert set(map(str, await in_turns(round_of, ROUNDS))) == {str(Counter(too_many=5, returned=3))}
        assert one_row(catalog_database, COUNTERS) == (0, 0)
        assert one_row(catalog_database, "SELECT bool_and(returned = quantity) FROM reservation_lines") == (True,)


async def test_control_without_the_lock_more_comes_back_than_was_taken(catalog_database: TestDatabase) -> None:
    """Look how much is left, then write: everybody sees the last unit, and the batch gets it eight times."""
    with psycopg.connect(catalog_database.owner_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE naive_line (quantity int, returned int, free int)")
        conn.execute("INSERT INTO naive_line VALUES (1, 0, 0)")
    everybody_has_looked = asyncio.Barrier(8)

    async def come_back() -> None:
        async with await psycopg.AsyncConnection.connect(catalog_database.owner_url) as conn:
            left = await (await conn.execute("SELECT quantity - returned FROM naive_line")).fetchone()
            await everybody_has_looked.wait()
            if left is not None and left[0] > 0:
                await conn.execute("UPDATE naive_line SET returned = returned + 1, free = free + 1")

    await asyncio.gather(*(come_back() for _ in range(8)))
    assert one_row(catalog_database, "SELECT quantity, returned, free FROM naive_line") == (1, 8, 8)


@pytest.mark.proves("K7", "G11")
@pytest.mark.parametrize("verb", ["releases", "consumptions"])
async def test_a_return_that_races_the_end_of_its_reservation_gives_back_each_unit_once(
    catalog_database: TestDatabase, issuer: Issuer, verb: str
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(stock_batches=[batch_row(quantity=5 * ROUNDS)])
        dice = random.Random(20261123)

        async def round_of(_: int) -> tuple[str, ...]:
            reservation = await reserved(catalogs[0], ("O1", 5))
            calls = [
                catalogs[0].put("reservations/returns", [returned(reservation, 2)]),
                catalogs[1].put(f"reservations/{verb}", [{"id": reservation["id"]}]),
            ]
            order = dice.sample((0, 1), 2)
            outcomes = await at_once(*(calls[which] for which in order))
            return tuple(outcomes[order.index(which)] for which in (0, 1))

        seen = Counter(await in_turns(round_of, ROUNDS))
        if verb == "releases":
            assert seen.keys() <= {("returned", "released"), ("too_many", "released")}
            assert one_row(catalog_database, COUNTERS) == (0, 0)
            assert one_row(catalog_database, PLACES) == (0,)
            assert one_row(catalog_database, BUDGET) == (0, 0)
        else:
            assert seen.keys() == {("returned", "consumed")}
            assert one_row(catalog_database, COUNTERS) == (0, 3 * ROUNDS)
            assert one_row(catalog_database, PLACES) == (3 * ROUNDS,)


async def test_control_a_release_that_has_read_its_lines_before_the_return_gives_back_too_much(
    catalog_database: TestDatabase,
) -> None:
    """Read what to give back, then lock: the return in between is given back a second time."""
    with psycopg.connect(catalog_database.owner_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE naive_reserved (quantity int, returned int)")
        conn.execute("CREATE TABLE naive_free (units int)")
        conn.execute("INSERT INTO naive_reserved VALUES (5, 0)")
        conn.execute("INSERT INTO naive_free VALUES (0)")
    async with (
        await psycopg.AsyncConnection.connect(catalog_database.owner_url) as release,
        await psycopg.AsyncConnection.connect(catalog_database.owner_url) as comes_back,
    ):
        rest = await (await release.execute("SELECT quantity - returned FROM naive_reserved")).fetchone()
        assert rest is not None
        await comes_back.execute("UPDATE naive_reserved SET returned = returned + 2")
        await comes_back.execute("UPDATE naive_free SET units = units + 2")
        await comes_back.commit()
        await release.execute("UPDATE naive_free SET units = units + %s", rest)
        await release.commit()
    assert one_row(catalog_database, "SELECT units FROM naive_free") == (7,), "of five"


async def test_one_id_for_two_reservations_at_once_is_a_return_of_one_and_a_mismatch_of_the_other(
    catalog_database: TestDatabase, issuer: Issuer
) -> None:
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(stock_batches=[batch_row(quantity=4 * ROUNDS)])

        async def round_of(_: int) -> list[str]:
            first, second = [await reserved(catalogs[0], ("O1", 2)) for _ in range(2)]
            document = returned(first, 1)
            other = {**document, "reservation_id": second["id"]}
            return await at_once(
                catalogs[0].put("reservations/returns", [document]), catalogs[1].put("reservations/returns", [other])
            )

        assert {tuple(sorted(outcomes)) for outcomes in await in_turns(round_of, ROUNDS)} == {("mismatch", "returned")}
        assert one_row(catalog_database, COUNTERS) == (3 * ROUNDS, 0)


@pytest.mark.proves("K7", "G9", "G11")
async def test_everything_at_once_keeps_the_books_without_a_deadlock(catalog_database: TestDatabase, issuer: Issuer) -> None:
    """Redemptions of several lines are reserved, come back in parts and for different reasons, and end, in every order."""
    rewards = [f"R{n}" for n in range(1, 7)]
    dice = random.Random(9)
    async with AsyncExitStack() as stack:
        catalogs = await nodes(stack, catalog_database, issuer)
        await catalogs[0].open(
            rewards=[reward_row(code) for code in rewards],
            offers=[offer_row(f"O{n}", code, quota_total=400) for n, code in enumerate(rewards, start=1)],
            stock_batches=[batch_row(f"B{n}{part}", code, 20) for n, code in enumerate(rewards, start=1) for part in "AB"],
            budget=[row("budget", line="procurement", amount_minor=10**9)],
        )

        async def client(_: int) -> None:
            wishes = []
            for _number in range(dice.randint(1, 3)):
                offers = dice.sample(range(1, 7), k=dice.randint(1, 3))
                wishes.append(wish(*((f"O{n}", dice.randint(1, 4)) for n in offers)))
            outcomes = await dice.choice(catalogs).put("reservations", wishes)
            held = [w for w, outcome in zip(wishes, outcomes, strict=True) if outcome["outcome"] == "held"]
            if not held:
                return
            documents = [
                returned(w, dice.randint(1, 3), dice.choice(["stock_and_places", "stock", "nothing"]), line["number"])
                for w in held
                for line in w["lines"]
            ]
            dice.shuffle(documents)
            ending = f"reservations/{dice.choice(['releases', 'consumptions'])}"
            await asyncio.gather(
                dice.choice(catalogs).put("reservations/returns", documents),
                dice.choice(catalogs).put(ending, [{"id": w["id"]} for w in held]),
            )
            again = await dice.choice(catalogs).put("reservations/returns", documents[::-1])
            assert {outcome["outcome"] for outcome in again} <= {"returned", "too_many"}

        async def auditor() -> None:
            for _ in range(8):
                assert await catalogs[0].breaks() == []
                await asyncio.sleep(0.05)

        await asyncio.gather(auditor(), in_turns(client, 500 if SOAK else 100))
        assert one_row(catalog_database, "SELECT count(*) FROM reservations WHERE state = 'held'") == (0,)
        assert one_row(catalog_database, "SELECT bool_and(held = 0) FROM stock_batches") == (True,)
        assert one_row(catalog_database, "SELECT count(DISTINCT gives_back) FROM reservation_returns") == (3,)


async def in_turns(round_of: Any, count: int) -> list[Any]:
    """So many rounds, some of them at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Any:
        async with gate:
            return await round_of(number)

    return await asyncio.gather(*(one(number) for number in range(count)))
