"""Neighbours that are down, slow or lose what was sent; workers that take over; and nobody has to step in."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from services.redemption.redemptions.use_cases import redeem as redeeming
from services.redemption.redemptions.use_cases.drive import drive_claimed
from shared.clock import SetClock
from tests.integration.redemption.conftest import Databases
from tests.support.catalog import offer_row, wish
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, execute, hurry, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

JUNE = datetime(2026, 6, 1, 4, tzinfo=UTC)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait three seconds in every test."""
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.2)


async def timeline(suite: Suite, location: str) -> list[str]:
    found = await suite.client.get(location, headers=suite.issuer.staff("agent"))
    return [entry["kind"] for entry in found.json()["timeline"]]


def reservations(databases: Databases) -> list[tuple[str, int]]:
    """(state, how many) of the catalog's reservations."""
    return rows(databases("catalog"), "SELECT state, count(*) FROM reservations GROUP BY state ORDER BY state")


@pytest.mark.proves("G19", "G22", "X3")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_whatever_happens_to_the_call_the_worker_ends_what_the_request_began(
    suite: Suite, databases: Databases, quick: None, fault: str
) -> None:
    ledger = databases("redemption")
    [customer] = await suite.add_customers(5000)
    assert code_of(await suite.redeem(customer)) == "201"  # the offer is known from here on
    suite.network.faults["catalog.test"] = fault
    answer = await suite.redeem(customer)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    points = await suite.points(customer)
    assert (points["balance"], points["held"]) == (4000, 1000)
    assert await timeline(suite, answer.headers["location"]) == ["accepted"]
    await mended(suite, ledger)
    assert await timeline(suite, answer.headers["location"]) == ["accepted", "confirmed", "fulfilled"]
    points = await suite.points(customer)
    assert (points["balance"], points["held"]) == (3000, 0)
    assert reservations(databases) == [("consumed", 2)], "asked twice, taken once"


@pytest.mark.proves("G33")
async def test_a_catalog_that_hangs_makes_nobody_wait_longer_than_three_seconds(
    suite: Suite, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redeeming.ANSWER_SECONDS == 3.0
    people = await suite.add_customers(*[5000] * 4)
    for customer in people:
        assert code_of(await suite.redeem(customer)) == "201"
    monkeypatch.setattr(redeeming, "FLOW_SECONDS", 0.2)
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.6)
    suite.network.hooks["catalog.test"] = lambda: asyncio.sleep(4.0)

    async def timed(customer: str) -> tuple[int, float]:
        started = time.monotonic()
        answer = await suite.redeem(customer)
        return answer.status_code, time.monotonic() - started

    answers = []
    for customer in people:  # one after the other, so that each is a set of its own
        answers.append(asyncio.create_task(timed(customer)))
        await asyncio.sleep(0.05)
    found = await asyncio.gather(*answers)
    assert [status for status, _ in found] == [202] * 4
    assert max(seconds for _, seconds in found) < 3.0
    async with asyncio.timeout(20):  # the calls come to their end beside it, and so do the redemptions
        while one(databases("redemption"), "SELECT count(*) FROM redemptions WHERE state = 'accepted'"):
            await asyncio.sleep(0.1)
    await mended(suite, databases("redemption"))


@pytest.mark.proves("R2", "G19")
async def test_a_catalog_that_takes_a_second_is_waited_for(
    suite: Suite, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeeming, "FLOW_SECONDS", 0.1)
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    suite.network.hooks["catalog.test"] = lambda: asyncio.sleep(0.8)
    first = await suite.redeem(customer, key="k1")
    assert first.status_code == 201
    assert (await suite.redeem(customer, key="k1")).content == first.content
    await mended(suite, ledger)


@pytest.mark.proves("G10", "G19", "G22", "R2")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_after_sixty_seconds_it_is_declined_and_whatever_comes_late_takes_nothing(
    databases: Databases, issuer: Issuer, quick: None, fault: str
) -> None:
    clock, ledger = SetClock(JUNE), databases("redemption")
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open(offers=[offer_row(limit_per_customer=9)])
        [customer] = await suite.add_customers(5000)
        await suite.redeem(customer)
        await suite.drain()
        suite.network.faults["catalog.test"] = fault
        answer = await suite.redeem(customer, key="k1")
        assert answer.status_code == 202
        clock.advance(timedelta(seconds=59))
        hurry(ledger)
        await suite.worker.drain()
        assert one(ledger, "SELECT count(*) FROM redemptions WHERE state = 'accepted'") == 1, "not a second too early"
        clock.advance(timedelta(seconds=1))
        hurry(ledger)
        await suite.worker.drain()
        assert await timeline(suite, answer.headers["location"]) == ["accepted", "declined"]
        points = await suite.points(customer)
        assert (points["balance"], points["held"], points["available"]) == (4000, 0, 4000)
        assert one(ledger, "SELECT taken FROM limit_counters") == 1
        told = await suite.redeem(customer, key="k1")
        assert (told.status_code, code_of(told)) == (409, "catalog-unavailable")
        assert one(ledger, "SELECT count(*) FROM tasks WHERE kind = 'release' AND state = 'ready'") == 1
        await mended(suite, ledger)
        assert reservations(databases) == [("consumed", 1), ("released", 1)]
        late = await suite.catalog.put("reservations", [wish(id=answer.json()["id"])])
        assert late[0]["outcome"] in ("released", "mismatch")
        assert reservations(databases) == [("consumed", 1), ("released", 1)]


@pytest.mark.proves("G19")
async def test_the_back_off_never_waits_beyond_the_deadline(suite: Suite, ledger: TestDatabase, quick: None) -> None:
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    suite.network.faults["catalog.test"] = "down"
    await suite.redeem(customer)
    for _ in range(5):
        hurry(ledger)
        execute(ledger.superuser_url, "UPDATE tasks SET failures = 16 WHERE kind = 'drive' AND state = 'ready'")
        execute(
            ledger.superuser_url,
            "UPDATE redemptions SET deadline_at = clock_timestamp() + interval '5 seconds' WHERE state = 'accepted'",
        )
        await suite.worker.drain()
        assert rows(
            ledger,
            "SELECT t.run_at <= r.deadline_at + interval '1 second' FROM tasks t JOIN redemptions r ON r.id = t.ref "
            "WHERE t.kind = 'drive' AND t.state = 'ready'",
        ) == [(True,)]
    await mended(suite, ledger)


@pytest.mark.proves("G21", "G19", "X3")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_what_fulfillment_does_not_answer_stays_confirmed_and_is_handed_out_later_and_once(
    suite: Suite, databases: Databases, fault: str
) -> None:
    ledger = databases("redemption")
    [customer] = await suite.add_customers(5000)
    suite.network.faults["fulfillment.test"] = fault
    answer = await suite.redeem(customer, ("O1", 2))
    assert answer.status_code == 201
    for _ in range(2):
        hurry(ledger)
        await suite.worker.drain()
    assert await timeline(suite, answer.headers["location"]) == ["accepted", "confirmed"]
    assert (await suite.points(customer))["balance"] == 3000
    await mended(suite, ledger)
    assert await timeline(suite, answer.headers["location"]) == ["accepted", "confirmed", "fulfilled"]
    assert one(databases("fulfillment"), "SELECT count(*) FROM vouchers") == 2


@pytest.mark.proves("G11", "G19")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_the_catalog_hears_that_it_was_handed_out_however_often_it_takes(
    suite: Suite, databases: Databases, fault: str
) -> None:
    ledger = databases("redemption")
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)

    async def lose_it() -> None:
        suite.network.faults["catalog.test"] = fault

    suite.network.hooks["fulfillment.test"] = lose_it
    await suite.worker.drain()
    assert one(ledger, "SELECT state FROM redemptions") == "fulfilled"
    assert one(ledger, "SELECT count(*) FROM tasks WHERE kind = 'consume' AND state = 'ready'") == 1
    await mended(suite, ledger)
    assert one(ledger, "SELECT count(*) FROM tasks WHERE state <> 'done'") == 0
    assert reservations(databases) == [("consumed", 1)]


@pytest.mark.proves("G10", "G22")
async def test_another_reservation_under_its_id_changes_nothing_and_ends_in_a_release(
    databases: Databases, issuer: Issuer, quick: None
) -> None:
    clock, ledger = SetClock(JUNE), databases("redemption")
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open()
        [customer] = await suite.add_customers(5000)
        await suite.redeem(customer)
        await suite.drain()
        suite.network.faults["catalog.test"] = "down"
        answer = await suite.redeem(customer)
        other = await suite.catalog.put("reservations", [wish(("O1", 3), id=answer.json()["id"])])
        assert other[0]["outcome"] == "held"
        suite.network.faults.clear()
        rested(suite.redemption.state.parts)
        hurry(ledger)
        await suite.worker.drain()
        assert await timeline(suite, answer.headers["location"]) == ["accepted"], "a mismatch is no yes and no no"
        clock.advance(timedelta(seconds=60))
        await mended(suite, ledger)
        assert await timeline(suite, answer.headers["location"]) == ["accepted", "declined"]
        assert reservations(databases) == [("consumed", 1), ("released", 1)]
        assert (await suite.points(customer))["available"] == 4000


@pytest.mark.proves("G19")
async def test_a_task_that_was_lost_is_written_again(suite: Suite, ledger: TestDatabase, quick: None) -> None:
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    suite.network.faults["catalog.test"] = "down"
    accepted = await suite.redeem(customer)
    execute(ledger.superuser_url, "DELETE FROM tasks WHERE kind IN ('drive', 'fulfil') AND state = 'ready'")
    suite.network.faults.clear()
    rested(suite.redemption.state.parts)
    assert "redemption-without-task" in {b.kind for b in await suite.breaks()}
    execute(ledger.superuser_url, "UPDATE redemptions SET changed_at = changed_at - interval '2 minutes'")
    execute(
        ledger.superuser_url,
        "INSERT INTO tasks (id, kind, run_at, dedupe_key) VALUES (gen_random_uuid(), 'sweep', clock_timestamp(), 'sweep')",
    )
    await mended(suite, ledger)
    assert await timeline(suite, accepted.headers["location"]) == ["accepted", "confirmed", "fulfilled"]
    assert rows(ledger, "SELECT state, count(*) FROM redemptions GROUP BY state") == [("fulfilled", 2)]


@pytest.mark.proves("G19")
async def test_a_request_that_cannot_go_on_hands_its_lease_over(suite: Suite, ledger: TestDatabase, quick: None) -> None:
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    suite.network.faults["catalog.test"] = "lost-request"
    await suite.redeem(customer)
    [(lease, error)] = rows(ledger, "SELECT lease_until, last_error FROM tasks WHERE kind = 'drive' AND state = 'ready'")
    assert (lease, error) == (None, "left by the request")
    await mended(suite, ledger)


@pytest.mark.proves("G3", "X3")
async def test_a_stale_worker_commits_nothing(suite: Suite, ledger: TestDatabase, quick: None) -> None:
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    await suite.drain()
    suite.network.faults["catalog.test"] = "down"
    answer = await suite.redeem(customer)
    suite.network.faults.clear()
    parts = suite.redemption.state.parts
    rested(parts)
    hurry(ledger)
    async with parts.database.transaction() as conn:
        [stale] = await parts.tasks.claim(conn, ["drive"], 10)
    hurry(ledger)  # its lease is over, and another one takes it
    async with parts.database.transaction() as conn:
        [fresh] = await parts.tasks.claim(conn, ["drive"], 10)
    await drive_claimed(parts, [stale])
    assert await timeline(suite, answer.headers["location"]) == ["accepted"]
    assert (await suite.points(customer))["held"] == 1000
    await drive_claimed(parts, [fresh])
    await drive_claimed(parts, [stale])
    assert await timeline(suite, answer.headers["location"]) == ["accepted", "confirmed"]
    assert one(ledger, "SELECT count(*) FROM postings WHERE redemption_id = %s", uuid.UUID(answer.json()["id"])) == 1


@pytest.mark.proves("G19")
async def test_one_redemption_whose_offer_nobody_knows_does_not_hold_up_the_others(suite: Suite, ledger: TestDatabase) -> None:
    ours, theirs = await suite.add_customers(5000, 5000)
    suite.network.faults["fulfillment.test"] = "down"
    bad, good = (await suite.redeem(ours)).json()["id"], (await suite.redeem(theirs)).json()["id"]
    execute(ledger.owner_url, "ALTER TABLE redemption_lines DISABLE TRIGGER append_only")
    execute(ledger.owner_url, "UPDATE redemption_lines SET offer_version = 9 WHERE redemption_id = %s", uuid.UUID(bad))
    await mended(suite, ledger)
    states = dict(rows(ledger, "SELECT id::text, state FROM redemptions"))
    assert states == {bad: "confirmed", good: "fulfilled"}
    execute(ledger.owner_url, "UPDATE redemption_lines SET offer_version = 1")
    await mended(suite, ledger)
    assert one(ledger, "SELECT count(*) FROM redemptions WHERE state = 'fulfilled'") == 2
