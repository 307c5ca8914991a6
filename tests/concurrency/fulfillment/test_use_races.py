"""Many tills and one voucher; repeats, reversals and lost answers in any order; with controls that show the race unguarded."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import text

from services.fulfillment.tills import store
from services.fulfillment.vouchers import store as vouchers
from tests.support.fulfillment import Fulfillment, know_merchants, line, next_number, running_fulfillment
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
USES = 100
ROUNDS = 50 if SOAK else 5
STORMS = 200 if SOAK else 20
VOUCHERS = 40
TERMINALS = ("T01", "T02")


@pytest.fixture
async def nodes(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[list[Fulfillment]]:
    """Two applications with pools of their own on one database, as two processes would be."""
    know_merchants(fulfillment_database, "M001", "M002")
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_fulfillment(fulfillment_database, issuer)) for _ in range(2)]


def rows(database: TestDatabase, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query).fetchall()


async def at_once(calls: Sequence[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    return list(await asyncio.gather(*calls))


def statuses(answers: Sequence[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((a.status_code, "" if a.status_code == 200 else a.json()["type"].rpartition("/")[2]) for a in answers)


@pytest.mark.proves("G14", "F5", "X3")
async def test_of_a_hundred_uses_on_two_nodes_exactly_one_succeeds(
    nodes: list[Fulfillment], fulfillment_database: TestDatabase
) -> None:
    for round_number in range(ROUNDS):
        codes = await nodes[0].issue(line(1), subject=f"customer-{round_number:05d}")
        calls = [nodes[n % 2].use(codes[0], next_number(), terminal=TERMINALS[n % 3 % 2]) for n in range(USES)]
        answers = await at_once(calls)
        assert statuses(answers) == {(200, ""): 1, (409, "voucher-already-used"): USES - 1}
        [winner] = [a.json() for a in answers if a.status_code == 200]
        for answer in answers:
            if answer.status_code == 409:
                told = answer.json()
                assert (told["terminal"], told["request_number"]) == (winner["terminal"], winner["request_number"])
    live = rows(fulfillment_database, "SELECT count(*), count(DISTINCT voucher_id) FROM uses WHERE state = 'live'")
    assert live == [(ROUNDS, ROUNDS)]
    query = "SELECT count(*) FROM audit_entries WHERE action = 'voucher.used'"
    assert rows(fulfillment_database, query) == [(ROUNDS,)]


GUARDS = ("lock", "condition", "index")


def leave_only(kept: str, database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the guards of a use away, all but one: the voucher's lock, the update's condition, the index on live uses."""
    if kept != "lock":
        monkeypatch.setattr(store, "_LOCK_PRESENTED", text(store._PRESENTED))
    if kept != "condition":
        assert "AND state = 'issued' AND expires_at > :now" in vouchers._USE.text
        unconditional = vouchers._USE.text.replace("AND state = 'issued' AND expires_at > :now", "")
        monkeypatch.setattr(vouchers, "_USE", text(unconditional))
    if kept != "index":
        with psycopg.connect(database.superuser_url) as conn:
            conn.execute("DROP INDEX uq_uses_live")


async def most_uses_of_one(nodes: list[Fulfillment], *, rounds: int) -> int:
    """How often one code was used, at most, when ten tills on two nodes want it at once."""
    most = 0
    for round_number in range(rounds):
        [code] = await nodes[0].issue(line(1), subject=f"customer-{round_number:05d}")
        answers = await at_once([nodes[n % 2].use(code, next_number()) for n in range(10)])
        most = max(most, sum(answer.status_code == 200 for answer in answers))
        if most > 1:
            break
    return most


async def test_control_without_guards_a_voucher_is_used_twice(
    fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code without lock, condition and index: the race is really run, and the books find what it does."""
    know_merchants(fulfillment_database, "M001")
    leave_only("nothing", fulfillment_database, monkeypatch)
    async with AsyncExitStack() as stack:
        running = [running_fulfillment(fulfillment_database, issuer, books=False) for _ in range(2)]
        nodes = [await stack.enter_async_context(one) for one in running]
        assert await most_uses_of_one(nodes, rounds=30) > 1
        assert "voucher-used-twice" in [found["kind"] for found in await nodes[0].breaks()]


@pytest.mark.proves("G14")
@pytest.mark.parametrize("kept", GUARDS)
async def test_each_guard_alone_stops_a_second_use(
    fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    know_merchants(fulfillment_database, "M001")
    leave_only(kept, fulfillment_database, monkeypatch)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running_fulfillment(fulfillment_database, issuer)) for _ in range(2)]
        assert await most_uses_of_one(nodes, rounds=3) == 1


@pytest.mark.proves("G15", "X3")
async def test_one_request_sent_many_times_to_both_nodes_is_one_use_with_one_answer(
    nodes: list[Fulfillment], fulfillment_database: TestDatabase
) -> None:
    for round_number in range(ROUNDS):
        [code] = await nodes[0].issue(line(1), subject=f"customer-{round_number:05d}")
        number = next_number()
        answers = await at_once([nodes[n % 2].use(code, number) for n in range(USES)])
        assert statuses(answers) == {(200, ""): USES}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert rows(fulfillment_database, "SELECT count(*) FROM uses") == [(ROUNDS,)]


@pytest.mark.proves("G15", "G14")
async def test_a_use_and_its_reversal_in_any_order_end_reversed(
    nodes: list[Fulfillment], fulfillment_database: TestDatabase
) -> None:
    """As tills do that lost an answer: the same use and its reversal, again and again, on both nodes, out of order."""
    dice = random.Random(seed := random.randrange(2**32))
    for round_number in range(STORMS):
        [code] = await nodes[0].issue(line(1), subject=f"customer-{round_number:05d}")
        number = next_number()
        calls = [call for node in nodes * 3 for call in (node.use(code, number), node.reverse(number))]
        dice.shuffle(calls)
        answers = await at_once(calls)
        assert set(statuses(answers)) <= {(200, ""), (409, "use-reversed")}, seed
        told = await nodes[0].get(f"/v1/uses/{number}", nodes[0].issuer.till())
        assert told.json()["state"] == "reversed", seed
        assert (await nodes[1].verify(code)).json()["state"] == "issued", seed
        assert (await nodes[1].use(code, number)).status_code == 409, seed
        assert (await nodes[0].use(code, next_number())).status_code == 200, seed
    assert rows(fulfillment_database, "SELECT count(*) FROM uses WHERE state = 'live'") == [(STORMS,)]


@pytest.mark.proves("G14", "G15", "P4", "X3")
async def test_after_a_storm_of_uses_and_reversals_the_books_balance(
    nodes: list[Fulfillment], fulfillment_database: TestDatabase
) -> None:
    """Few numbers, many vouchers, two merchants, everything at once: no answer of ours is an error, nothing is used twice."""
    dice = random.Random(seed := random.randrange(2**32))
    codes = await nodes[0].issue(line(1, VOUCHERS, merchants=("M001", "M002")))
    calls: list[Awaitable[httpx.Response]] = []
    for _ in range(2_000 if SOAK else 400):
        node, merchant, terminal = dice.choice(nodes), dice.choice(("M001", "M002")), dice.choice(TERMINALS)
        number = f"S-{dice.randrange(60)}"
        if dice.random() < 0.65:
            calls.append(node.use(dice.choice(codes[:20]), number, merchant, terminal))
        else:
            calls.append(node.reverse(number, merchant, terminal))
    answers = await at_once(calls)
    expected = {
        (200, ""), (409, "voucher-already-used"), (409, "use-reversed"), (422, "request-number-reused"),
    }  # fmt: skip
    assert set(statuses(answers)) <= expected, seed
    assert await nodes[0].breaks() == [], seed
    query = """
        SELECT v.state, count(u.id) FROM vouchers v LEFT JOIN uses u ON u.voucher_id = v.id AND u.state = 'live'
         GROUP BY v.id, v.state
    """
    assert set(rows(fulfillment_database, query)) <= {("issued", 0), ("used", 1)}, seed
    for action, state in (
        ("voucher.used", "used_at IS NOT NULL"),
        ("voucher.use_reversed", "used_at IS NOT NULL AND reversed_at IS NOT NULL"),
    ):
        [(audited,)] = rows(fulfillment_database, f"SELECT count(*) FROM audit_entries WHERE action = '{action}'")
        [(happened,)] = rows(fulfillment_database, f"SELECT count(*) FROM uses WHERE {state}")
        assert audited == happened, seed


@pytest.mark.proves("F3", "F5")
async def test_expiry_and_use_at_once_leave_a_voucher_in_one_state(
    nodes: list[Fulfillment], fulfillment_database: TestDatabase
) -> None:
    codes = await nodes[0].issue(line(1, VOUCHERS))
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        conn.execute("UPDATE vouchers SET expires_at = clock_timestamp() + interval '150 milliseconds'")

    async def expire() -> int:
        parts, found = nodes[1].parts, 0
        for _ in range(20):
            async with parts.database.transaction() as conn:
                now = await parts.clock.now(conn)
                found += len(await vouchers.expire_due(conn, now, 10))
            await asyncio.sleep(0.02)
        return found

    async def use() -> list[httpx.Response]:
        answers = []
        for code in codes:
            answers.append(await nodes[0].use(code, next_number()))
            await asyncio.sleep(0.003)
        return answers

    expired, answers = await asyncio.gather(expire(), use())
    found = statuses(answers)
    assert set(found) <= {(200, ""), (409, "voucher-expired")}
    assert found[409, "voucher-expired"] == expired
    counted = dict(rows(fulfillment_database, "SELECT state, count(*) FROM vouchers GROUP BY state"))
    assert counted == {state: n for state, n in (("used", found[200, ""]), ("expired", expired)) if n}
