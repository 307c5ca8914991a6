"""Cancelling meets everything that can happen at the same moment: one winner, and points go back exactly when it wins."""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import text

from services.redemption.points import store as ledger
from services.redemption.redemptions import store
from services.redemption.redemptions.use_cases import redeem as redeeming
from services.redemption.redemptions.use_cases.drive import DRIVER, drive_claimed
from services.redemption.redemptions.use_cases.outcomes import take_outcomes
from tests.support.goods import LAMP, LAMP_POINTS, VOUCHER, Shop
from tests.support.postgres import TestDatabase
from tests.support.redemption import another_redemption, code_of, execute, hurry, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

SOAK = os.environ.get("HUANGOU_SOAK") == "1"
COUNT = 100 if SOAK else 12
Databases = Callable[[str], TestDatabase]


@pytest.fixture
def databases(database_of: Databases) -> Databases:
    made: dict[str, TestDatabase] = {}

    def database(service: str) -> TestDatabase:
        if service not in made:
            made[service] = database_of(service)
        return made[service]

    return database


@pytest.fixture
async def shop(databases: Databases, issuer: Issuer, anyio_backend: str) -> AsyncIterator[Shop]:
    """A customer with plenty of points; at the end the books of the three services must agree."""
    async with running_suite(databases, issuer) as suite:
        shop = await Shop(suite, databases).open()
        yield shop


async def lamps(shop: Shop, count: int, *lines: tuple[str, int]) -> dict[str, str]:
    """Redemptions that fulfillment has in hand, each of a customer of its own; subjects by redemption."""
    found = {}
    for _ in range(count):
        subject = await shop.new_customer()
        answer = await shop.redeem(*lines, delivery=shop.by_courier())
        assert answer.status_code == 201, answer.text
        found[answer.json()["id"]] = subject
    await shop.suite.worker.drain()
    return found


async def cancel(shop: Shop, node: Suite, redemption: str, subject: str, key: str | None = None) -> str:
    """As an app does it: where the answer says `try again`, the same request is sent again."""
    headers = {**shop.suite.issuer.customer(subject), "Idempotency-Key": key or str(uuid.uuid4())}
    for _ in range(60):
        answer = await node.client.post(f"/v1/redemptions/{redemption}/cancellation", json={}, headers=headers)
        if answer.status_code not in (202, 503) and code_of(answer) != "idempotency-in-flight":
            return code_of(answer)
        await asyncio.sleep(0.1)
    raise AssertionError("no end to it")


def states(shop: Shop, ids: Iterable[str]) -> dict[str, str]:
    query = "SELECT id::text, state FROM redemptions WHERE id = ANY(%s)"
    return dict(rows(shop.database_of("redemption"), query, [uuid.UUID(one) for one in ids]))


def refunded(shop: Shop) -> dict[str, int]:
    query = "SELECT redemption_id::text, sum(points)::int FROM postings WHERE kind = 'refunded' GROUP BY 1"
    return dict(rows(shop.database_of("redemption"), query))


@pytest.mark.proves("G20", "G21", "G22", "R6", "X3")
async def test_a_cancellation_and_the_pivot_at_once_have_one_winner(
    shop: Shop, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.05)
    await shop.redeem((VOUCHER, 1), (LAMP, 1), delivery=shop.by_courier())  # the offers are known from here on
    await shop.suite.drain()
    shop.suite.network.faults["catalog.test"] = "down"
    waiting: dict[str, str] = {}
    for _ in range(COUNT):
        subject = await shop.new_customer()
        answer = await shop.redeem((VOUCHER, 1), (LAMP, 1), delivery=shop.by_courier())
        assert answer.status_code == 202
        waiting[answer.json()["id"]] = subject
    shop.suite.network.faults.clear()
    parts = shop.suite.redemption.state.parts
    rested(parts)
    hurry(databases("redemption"))
    async with parts.database.transaction() as conn:
        claims = {str(claim.ref): claim for claim in await parts.tasks.claim(conn, ["drive"], COUNT)}
    assert claims.keys() == waiting.keys()
    chance = random.Random(COUNT)

    async def both(redemption: str, subject: str) -> str:
        async def drive() -> None:
            await asyncio.sleep(chance.uniform(0.0, 0.02))
            await drive_claimed(parts, [claims[redemption]])

        async def stop() -> str:
            await asyncio.sleep(chance.uniform(0.0, 0.03))
            return await cancel(shop, shop.suite, redemption, subject)

        return (await asyncio.gather(drive(), stop()))[1]

    codes = Counter([await both(redemption, subject) for redemption, subject in waiting.items()])
    await mended(shop.suite, databases("redemption"))
    found = Counter(states(shop, waiting).values())
    print(f"answers {dict(codes)}, ended {dict(found)}")
    assert found["cancelled"] == codes["200"] == COUNT, "before the pivot or after it: nothing had left"
    holds = dict(rows(databases("redemption"), "SELECT state, count(*) FROM holds GROUP BY state"))
    assert holds.get("held", 0) == 0 and holds["posted"] + holds.get("released", 0) == COUNT + 1
    assert len(refunded(shop)) == holds["posted"] - 1
    assert one(databases("redemption"), "SELECT count(*) FROM limit_counters WHERE taken > 0") == 3, "of the first one alone"


async def test_control_without_the_redemption_s_lock_a_cancelled_one_is_confirmed(
    databases: Databases, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same flow, the row read without its lock and the database's guards away: both decide on the same state."""
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.05)
    async with running_suite(databases, issuer, check=False) as suite:
        shop = await Shop(suite, databases).open()
        await shop.redeem((VOUCHER, 1))
        suite.network.faults["catalog.test"] = "down"
        accepted = (await shop.redeem((VOUCHER, 1))).json()["id"]
        suite.network.faults.clear()
        parts = suite.redemption.state.parts
        rested(parts)
        hurry(databases("redemption"))
        async with parts.database.transaction() as conn:
            claims = await parts.tasks.claim(conn, ["drive"], 1)
        execute(databases("redemption").owner_url, "ALTER TABLE redemptions DISABLE TRIGGER guard_redemption")
        execute(databases("redemption").owner_url, "ALTER TABLE redemption_events DROP CONSTRAINT pk_redemption_events")
        monkeypatch.setattr(store, "_LOCK", text(str(store._LOCK).replace("FOR NO KEY UPDATE", "")))
        meeting, lock_books = asyncio.Barrier(2), ledger.lock_books

        async def together(*given: Any, **more: Any) -> Any:  # both have read, neither has written
            async with asyncio.timeout(5):
                await meeting.wait()
            return await lock_books(*given, **more)

        monkeypatch.setattr(ledger, "lock_books", together)
        await asyncio.gather(drive_claimed(parts, claims), shop.cancel(accepted), return_exceptions=True)
        monkeypatch.setattr(ledger, "lock_books", lock_books)
        found = {(b.kind, b.subject) for b in await suite.breaks()}
        assert found & {("redemption-and-points-differ", accepted), ("timeline-with-a-gap", accepted)}


@pytest.mark.proves("G18", "R6", "G34", "X3")
async def test_a_cancellation_and_the_dispatch_at_once_have_one_winner_and_points_follow_it(
    shop: Shop, databases: Databases
) -> None:
    waiting = await lamps(shop, COUNT)
    async with another_redemption(shop.suite, databases("redemption")) as other:
        nodes = [shop.suite, other]
        calls = [cancel(shop, nodes[n % 2], *pair) for n, pair in enumerate(waiting.items())]
        *codes, _ = await asyncio.gather(*calls, shop.suite.fulfillment_worker.drain())
    for _ in range(2):
        hurry(databases("redemption"))
        await shop.suite.drain()
    ended = states(shop, waiting)
    print(dict(Counter(codes)), dict(Counter(ended.values())))
    sent = {redemption for redemption in waiting if shop.parcel(redemption)[1]}
    for redemption, code in zip(waiting, codes, strict=True):
        assert (code, ended[redemption]) == (
            ("too-late-to-cancel", "delivering") if redemption in sent else ("200", "cancelled")
        )
    assert refunded(shop) == {redemption: LAMP_POINTS for redemption in waiting if redemption not in sent}


@pytest.mark.proves("R6", "R7", "G7", "G27")
async def test_many_cancellations_of_one_redemption_give_back_once(shop: Shop, databases: Databases) -> None:
    both = await lamps(shop, 1, (VOUCHER, 1), (LAMP, 2))
    whole = await lamps(shop, 1, (LAMP, 2))
    async with another_redemption(shop.suite, databases("redemption")) as other:
        for waiting, expected in ((both, {"200", "too-late-to-cancel"}), (whole, {"200"})):
            [(redemption, subject)] = waiting.items()
            keys = [f"k{n % 4}" for n in range(16)]
            codes = await asyncio.gather(
                *(cancel(shop, (shop.suite, other)[n % 2], redemption, subject, key) for n, key in enumerate(keys))
            )
            assert "200" in codes and set(codes) <= expected
    assert sorted(refunded(shop).values()) == [2 * LAMP_POINTS] * 2
    assert one(databases("redemption"), "SELECT count(*) FROM return_lines") == 2


@pytest.mark.proves("G34", "G18", "G7", "X3")
async def test_reports_looks_answers_and_cancellations_at_once_end_in_the_same_books(shop: Shop, databases: Databases) -> None:
    """Everything that can tell of a part tells at the same time, on two processes; each line is refunded at most once."""
    waiting = await lamps(shop, COUNT, (VOUCHER, 1), (LAMP, 1))
    chance = random.Random(7)
    async with another_redemption(shop.suite, databases("redemption")) as other:

        async def look(node: Suite) -> None:
            parts = node.redemption.state.parts
            ids = chance.sample([uuid.UUID(one) for one in waiting], len(waiting))
            reports = await parts.fulfillment.stand(ids)
            await take_outcomes(parts, list(reports.values()), DRIVER)

        some = chance.sample(sorted(waiting), len(waiting) // 2)
        work: list[Any] = [cancel(shop, (shop.suite, other)[n % 2], r, waiting[r]) for n, r in enumerate(some)]
        work += [look(node) for node in (shop.suite, other) * 3]
        work += [shop.suite.fulfillment_worker.drain(), shop.suite.worker.drain()]
        chance.shuffle(work)
        await asyncio.gather(*work)
        sent = [redemption for redemption in waiting if shop.parcel(redemption)[1]]
        for redemption in sent:
            kind = chance.choice(["delivered", "returned", "lost"])
            await shop.suite.outside.courier.happen(shop.parcel(redemption)[1], "picked_up", kind)
        await asyncio.gather(shop.suite.outside.courier.tell(), shop.suite.drain(), look(other), look(shop.suite))
    for _ in range(3):
        hurry(databases("redemption"))
        hurry(databases("fulfillment"))
        await shop.suite.drain()
    assert set(states(shop, waiting).values()) == {"fulfilled"}, "everybody has the voucher at least"
    back = {r for r in waiting if shop.parcel(r)[0] in ("cancelled", "returned", "lost")}
    assert refunded(shop) == dict.fromkeys(back, LAMP_POINTS)
    assert one(databases("redemption"), "SELECT count(*) FROM return_lines") == len(back)
