"""Many at once: points are spent once, keys have one effect, limits hold, and nobody waits for ever.

Every test ends with reconcile, which must find nothing. Beside them stand controls that show the race without its guard.
"""

import asyncio
import contextlib
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from sqlalchemy import text

from services.redemption.parts import Parts
from services.redemption.points import store
from services.redemption.reconciliation.use_cases import reconcile
from services.redemption.redemptions.use_cases import accept as accepting
from services.redemption.redemptions.use_cases import redeem as redeeming
from services.redemption.redemptions.use_cases.drive import drive_claimed
from services.redemption.worker import make_worker as make_redemption_worker
from shared.clock import SetClock
from shared.database import Overloaded
from shared.problems import NeighbourUnavailable
from shared.tasks import Claim, NewTask
from tests.concurrency.redemption.conftest import Pair
from tests.support.catalog import batch_row, offer_row
from tests.support.postgres import TestDatabase
from tests.support.redemption import another_redemption, code_of, execute, hurry, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
ROUNDS = 100 if SOAK else 3
CLIENTS, UNITS = (1_000, 100) if SOAK else (100, 10)
SEEDS = range(50) if SOAK else range(2)
AT_ONCE = 64
BUSY = ("overloaded", "database-unavailable", "dependency-unavailable")


async def persistently(node: Suite, customer: str, *lines: tuple[str, int], key: str | None = None) -> httpx.Response:
    """As an app does it: where the answer says `try again`, the same request is sent again."""
    key = key or str(uuid.uuid4())
    for _ in range(50):
        answer = await node.redeem(customer, *lines, key=key)
        if answer.status_code != 503:
            return answer
        # Overloaded is this service, its database or, for an offer that was not read yet, the catalog behind it.
        assert code_of(answer) in BUSY and answer.headers["retry-after"]
        await asyncio.sleep(0.2)
    raise AssertionError("overloaded for ten seconds")


@pytest.mark.proves("G2", "X3")
async def test_of_fifty_at_once_exactly_ten_are_paid_by_points_for_ten(pair: Pair) -> None:
    await pair.one.catalog.open(stock_batches=[batch_row(quantity=10 * ROUNDS)])
    people = await pair.one.add_customers(*[10_999] * ROUNDS)
    for customer in people:
        answers = await asyncio.gather(*(persistently(pair.node(n), customer) for n in range(50)))
        assert Counter(map(code_of, answers)) == {"201": 10, "insufficient-points": 40}
        points = await pair.one.points(customer)
        assert (points["balance"], points["held"]) == (999, 0)
    assert one(pair.ledger, "SELECT count(*) FROM redemptions") == 10 * ROUNDS, "what was refused left no row"


async def test_control_without_the_account_s_lock_points_are_spent_twice(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same flow, the book read without its lock: two processes decide on the same balance."""
    made: dict[str, TestDatabase] = {}

    def database(service: str) -> TestDatabase:
        return made.setdefault(service, made.get(service) or database_of(service))

    unlocked = text(store._LOCK.replace("FOR NO KEY UPDATE", ""))
    both = asyncio.Barrier(2)

    async def nothing_refused(*_: object) -> None:  # between reading and writing: until the other one has read as well
        async with asyncio.timeout(5):
            await both.wait()

    async with (
        running_suite(database, issuer, check=False) as suite,
        another_redemption(suite, made["redemption"]) as other,
    ):
        await suite.catalog.open()
        [customer] = await suite.add_customers(1000)
        execute(made["redemption"].owner_url, "ALTER TABLE accounts DROP CONSTRAINT ck_accounts_never_overspent")
        execute(made["redemption"].owner_url, "ALTER TABLE lots DROP CONSTRAINT ck_lots_within_bounds")
        monkeypatch.setattr(store, "_LOCK_SKIPPING", unlocked)
        monkeypatch.setattr(store, "_LOCK_WAITING", unlocked)
        monkeypatch.setattr(accepting, "_keep_refusals", nothing_refused)
        await asyncio.gather(suite.redeem(customer), other.redeem(customer))
        assert one(made["redemption"], "SELECT sum(points) FROM holds") == 2000, "a thousand points pay for two thousand"
        assert {b.kind for b in await suite.breaks()} >= {"lot-and-holds-differ"}


@pytest.mark.proves("G9", "K7", "X3")
async def test_of_many_customers_exactly_as_many_redeem_as_there_are_units(pair: Pair) -> None:
    await pair.one.catalog.open(stock_batches=[batch_row(quantity=UNITS)])
    people = await pair.one.add_customers(*[1000] * CLIENTS)
    gate = asyncio.Semaphore(AT_ONCE)

    async def redeem(number: int, customer: str) -> str:
        async with gate:
            return code_of(await persistently(pair.node(number), customer))

    codes = await asyncio.gather(*(redeem(number, customer) for number, customer in enumerate(people)))
    assert Counter(codes) == {"201": UNITS, "out-of-stock": CLIENTS - UNITS}
    assert rows(pair.ledger, "SELECT posted, count(*) FROM accounts GROUP BY posted ORDER BY posted") == [
        (0, UNITS), (1000, CLIENTS - UNITS)
    ]  # fmt: skip


@pytest.mark.proves("G27", "G28", "G29", "R7")
async def test_fifty_equal_requests_under_one_key_redeem_once(pair: Pair) -> None:
    await pair.one.catalog.open()
    people = await pair.one.add_customers(*[50_000] * ROUNDS)
    for customer in people:
        key = str(uuid.uuid4())
        answers = await asyncio.gather(*(persistently(pair.node(n), customer, key=key) for n in range(50)))
        codes = Counter(map(code_of, answers))
        assert set(codes) <= {"201", "idempotency-in-flight"} and codes["201"] >= 1
        assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
        assert sum(1 for a in answers if a.status_code == 201 and "idempotency-replayed" not in a.headers) == 1
        assert (await pair.one.points(customer))["balance"] == 49_000
    assert one(pair.ledger, "SELECT count(*) FROM redemptions") == ROUNDS


@pytest.mark.proves("C4", "X3")
async def test_a_personal_limit_holds_however_many_come_at_once(pair: Pair) -> None:
    await pair.one.catalog.open(offers=[offer_row(limit_per_customer=7)])
    people = await pair.one.add_customers(*[500_000] * ROUNDS)
    for customer in people:
        answers = await asyncio.gather(*(persistently(pair.node(n), customer, ("O1", 2)) for n in range(20)))
        assert Counter(map(code_of, answers)) == {"201": 3, "limit-reached": 17}
    assert {taken for (taken,) in rows(pair.ledger, "SELECT taken FROM limit_counters")} == {6}


@pytest.mark.proves("G3", "G20", "X3")
async def test_a_confirmation_and_a_decline_at_once_have_one_winner(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers hold the same lease, as after a pause: one finds the stock, to the other the deadline has passed."""
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.05)
    count = 8 * ROUNDS
    await pair.one.catalog.open(stock_batches=[batch_row(quantity=count + 1)])
    people = await pair.one.add_customers(*[1000] * (count + 1))
    await pair.one.redeem(people.pop())  # the offer is known from here on
    pair.one.network.faults["catalog.test"] = "down"
    answers = await asyncio.gather(*(persistently(pair.one, customer) for customer in people))
    assert {answer.status_code for answer in answers} == {202}
    pair.one.network.faults.clear()
    late = SetClock(datetime.now(UTC) + timedelta(minutes=2))
    async with another_redemption(pair.one, pair.ledger, clock=late) as other:
        in_time, too_late = pair.one.redemption.state.parts, other.redemption.state.parts
        rested(in_time)
        hurry(pair.ledger)
        async with in_time.database.transaction() as conn:
            claims = await in_time.tasks.claim(conn, ["drive"], count)
        assert len(claims) == count
        chance = random.Random(count)
        for claim in claims:

            async def after(parts: Parts, seconds: float, claim: Claim = claim) -> None:
                await asyncio.sleep(seconds)
                await drive_claimed(parts, [claim])

            head_start = chance.uniform(0.0, 0.02)  # the decline has no call to make
            await asyncio.gather(after(in_time, 0.0), after(too_late, head_start))
    found = dict(rows(pair.ledger, "SELECT state, count(*) FROM redemptions GROUP BY state"))
    print(f"ended: {found}")
    assert found.keys() <= {"confirmed", "declined"} and sum(found.values()) == count + 1
    await mended(pair.one, pair.ledger)
    ended = dict(rows(pair.ledger, "SELECT state, count(*) FROM holds GROUP BY state"))
    assert ended.get("posted", 0) + ended.get("released", 0) == count + 1
    assert one(pair.ledger, "SELECT sum(posted) FROM accounts") == 1000 * ended.get("released", 0)


@pytest.mark.proves("G2", "G6", "P2")
async def test_an_expiry_run_that_meets_redemptions_takes_no_point_twice(
    database_of: Callable[[str], TestDatabase], issuer: Issuer
) -> None:
    made: dict[str, TestDatabase] = {}

    def database(service: str) -> TestDatabase:
        return made.setdefault(service, made.get(service) or database_of(service))

    clock = SetClock(datetime(2026, 6, 30, 12, tzinfo=UTC))
    later = SetClock(datetime(2026, 6, 30, 16, tzinfo=UTC))  # this node is over midnight, the other is not
    async with (
        running_suite(database, issuer, clock=clock) as suite,
        another_redemption(suite, made["redemption"], clock=later) as other,
    ):
        await suite.catalog.open()
        people = await suite.add_customers(*[3000] * 8 * ROUNDS, expires_on="2026-06-30")
        parts = other.redemption.state.parts
        worker = make_redemption_worker(parts)
        [housekeeping] = [lane for lane in worker._lanes if lane.name == "housekeeping"]

        async def expire() -> None:
            for _ in range(3):
                async with parts.database.transaction() as conn:
                    due = NewTask(kind="expire", run_at=datetime(2026, 6, 30, tzinfo=UTC), dedupe_key=str(uuid.uuid4()))
                    await parts.tasks.add(conn, [due])
                # This lane alone: to a driver over midnight the deadlines of the others would long have passed.
                while await worker.run_once(housekeeping):
                    pass

        *answers, _ = await asyncio.gather(*(persistently(suite, customer) for customer in people * 3), expire())
        codes = Counter(map(code_of, answers))
        assert set(codes) <= {"201", "insufficient-points"}
        spent = one(made["redemption"], "SELECT coalesce(sum(points), 0) FROM postings WHERE kind = 'redeemed'")
        expired = one(made["redemption"], "SELECT coalesce(sum(points), 0) FROM postings WHERE kind = 'expired'")
        left = one(made["redemption"], "SELECT sum(posted) FROM accounts")
        assert spent == 1000 * codes["201"] and spent + expired + left == 3000 * len(people)
        clock.advance(timedelta(hours=5))


@pytest.mark.proves("P4", "X3", "G19")
@pytest.mark.parametrize("seed", SEEDS)
async def test_any_mixture_of_work_ends_without_a_deadlock_and_the_books_agree(
    pair: Pair, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    await pair.one.catalog.open(
        offers=[offer_row("O1", limit_per_customer=20), offer_row("O2", limit_per_day=15, price_points=3)],
        stock_batches=[batch_row(quantity=150)],
    )
    people = await pair.one.add_customers(*[chance.randrange(0, 30_000) for _ in range(6)])
    customer_ids = {customer: (await pair.one.me(customer))["customer_id"] for customer in people}
    with psycopg.connect(pair.ledger.superuser_url) as conn:
        before = conn.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    codes: Counter[str] = Counter()

    async def one_thing(number: int) -> None:
        node, customer = pair.node(number), chance.choice(people)
        kind = chance.random()
        if kind < 0.6:
            lines = [(chance.choice(["O1", "O2"]), chance.randint(1, 3)) for _ in range(chance.randint(1, 4))]
            key = f"k{chance.randrange(30)}" if chance.random() < 0.3 else None
            codes[code_of(await persistently(node, customer, *lines, key=key))] += 1
        elif kind < 0.75:
            several = chance.sample(people, 3)
            lines = [f"{c.removeprefix('customer-')},{chance.randint(1, 999)},2030-12-31,r{number}" for c in several]
            total = sum(int(line.split(",")[1]) for line in lines)
            content = "customer_number,points,expires_on,reference\n" + "\n".join(lines) + f"\n#total,3,{total}\n"
            headers = {**node.issuer.service("bank-feeds", "feeds:write"), "Content-Type": "text/csv"}
            answer = await node.client.put(f"/v1/feeds/earned-points/e{number}", content=content, headers=headers)
            assert code_of(answer) in ("200", *BUSY), answer.text
        elif kind < 0.85:
            wish = {"state": chance.choice(["active", "active", "no_redeem"]), "reason": "a mixture"}
            path = f"/v1/customers/{customer_ids[customer]}/account-state"
            answer = await node.client.put(path, json=wish, headers=node.issuer.staff("supervisor"))
            assert code_of(answer) in ("204", *BUSY), answer.text
        elif kind < 0.95:
            with contextlib.suppress(Overloaded):  # a worker that runs by itself would look again in a second
                await pair.one.worker.drain()
        else:
            await node.points(customer)

    gate = asyncio.Semaphore(24)

    async def gated(number: int) -> None:
        async with gate:
            await one_thing(number)

    async with asyncio.timeout(300 if SOAK else 120):
        load = [asyncio.create_task(gated(number)) for number in range(600 if SOAK else 150)]
        looks = 0
        while not all(task.done() for task in load):
            with contextlib.suppress(Overloaded, NeighbourUnavailable):
                report = await reconcile(pair.other.redemption.state.parts, settle_seconds=1.0)
                assert report.breaks == [], "healthy books agree during load too"
                looks += 1
            await asyncio.sleep(0.05)
        await asyncio.gather(*load)
    print(f"the books were compared {looks} times meanwhile")
    allowed = {
        "202",  # on a busy machine three seconds go by
        "201", "insufficient-points", "limit-reached", "out-of-stock", "account-may-not-redeem", "idempotency-in-flight",
        "idempotency-key-reused",
    }  # fmt: skip
    assert set(codes) <= allowed, codes
    assert codes["201"]
    await mended(pair.one, pair.ledger)
    with psycopg.connect(pair.ledger.superuser_url) as conn:
        after = conn.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert before == after
    assert one(pair.ledger, "SELECT count(*) FROM redemptions WHERE state IN ('accepted', 'confirmed')") == 0
