"""A cancellation against the dispatch of the same parcel: exactly one wins; with a control that shows the race unguarded."""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text

from services.fulfillment.parcels import store
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, by_courier, goods, line, to_branch, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
SOAK = os.environ.get("HUANGOU_SOAK") == "1"
PARCELS = 400 if SOAK else 40


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


async def race(depot: Depot, redemptions: list[str], dice: random.Random) -> dict[str, str]:
    """Everything is cancelled and everything is sent, at once, each twice; answers how each cancellation ended first."""
    depot.time_passes()
    outcomes: dict[str, set[str]] = {one: set() for one in redemptions}

    few = asyncio.Semaphore(4)  # as many as the pool has connections to spare

    async def cancel(one: str) -> None:
        await asyncio.sleep(dice.random() * 0.3)
        async with few:
            outcomes[one] |= {stopped["outcome"] for stopped in await depot.fulfillment.cancel(one, one)}

    await asyncio.gather(*(cancel(one) for one in redemptions * 2), depot.work(), depot.work())
    await depot.leave()
    assert all(len(ended) == 1 for ended in outcomes.values()), "one and the same answer however often it is asked"
    return {one: next(iter(ended)) for one, ended in outcomes.items()}


@pytest.mark.proves("G18", "R6", "X3")
async def test_of_a_cancellation_and_a_dispatch_at_once_exactly_one_wins(depot: Depot) -> None:
    dice = random.Random(seed := random.randrange(2**32))
    made = dict([await depot.accept(dice.choice((by_courier(), to_branch()))) for _ in range(PARCELS)])
    ended = await race(depot, list(made), dice)
    for redemption, parcel in made.items():
        stopped = depot.state(parcel) == "cancelled"
        assert stopped == (ended[redemption] == "cancelled"), seed
        left = depot.rows("SELECT 1 FROM parcel_events WHERE parcel_id = %s AND kind IN ('dispatching', 'in_transfer')", parcel)
        assert bool(left) is not stopped, seed
        assert depot.redemption.parts[redemption][0]["state"] == depot.state(parcel), seed
    booked = {one["reference"] for one in await depot.outside.courier.see("parcels")}
    assert booked == {p for p in made.values() if depot.state(p) == "dispatched"}, seed
    assert set(Counter(ended.values())) == {"cancelled", "too_late"}, f"both happened, or nothing was raced: {seed}"
    assert await depot.fulfillment.breaks() == []


@pytest.mark.proves("G10", "R6")
async def test_a_cancellation_and_the_acceptance_at_once_leave_a_parcel_or_a_tombstone(depot: Depot) -> None:
    dice = random.Random(seed := random.randrange(2**32))
    wishes = [wish(line(1), goods(2), delivery=by_courier(), id=str(uuid.uuid4())) for _ in range(PARCELS)]

    async def later(seconds: float, call: object, *arguments: object) -> list[dict[str, object]]:
        await asyncio.sleep(seconds)
        return await call(*arguments)  # type: ignore[operator]

    for one in wishes:
        [accepted], [stopped] = await asyncio.gather(
            later(dice.random() * 0.004, depot.fulfillment.accept, one),
            later(dice.random() * 0.004, depot.fulfillment.cancel, one["id"]),
        )
        [again] = await depot.fulfillment.accept(one)
        if stopped["cancelled_lines"] is None:
            assert (accepted["outcome"], again["outcome"]) == ("cancelled", "cancelled"), seed
        else:
            assert (stopped["outcome"], stopped["cancelled_lines"], again["outcome"]) == ("partly", [2], "accepted"), seed
    rows = depot.rows(
        "SELECT f.fingerprint IS NULL, f.state, (SELECT count(*) FROM vouchers v WHERE v.fulfillment_id = f.id), "
        "(SELECT string_agg(p.state, '') FROM parcels p WHERE p.fulfillment_id = f.id) FROM fulfillments f"
    )
    assert set(rows) <= {(True, "cancelled", 0, None), (False, "completed", 1, "cancelled")}, seed


@pytest.mark.proves("F2", "X3")
async def test_a_code_shown_at_two_tills_of_a_branch_at_once_hands_over_once(depot: Depot) -> None:
    for _ in range(5):
        parcel = await depot.ready()
        code = await depot.code(parcel)
        answers = await asyncio.gather(
            *(depot.hand_over(parcel, code) for _ in range(10)), *(depot.arrive(parcel) for _ in range(5))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert depot.rows("SELECT count(*) FROM parcel_events WHERE parcel_id = %s AND kind = 'collected'", parcel) == [(1,)]


async def test_control_without_lock_and_version_a_cancelled_parcel_is_sent(
    fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code without its guards: the race is really run, and the books see what it does."""
    for name in ("_LOCK", "_LOCK_OF"):
        monkeypatch.setattr(store, name, text(getattr(store, name).text.replace("FOR NO KEY UPDATE OF p", "")))
    monkeypatch.setattr(store, "_CHANGE", text(store._CHANGE.text.replace("AND p.version = now.before", "")))
    async with running_depot(fulfillment_database, issuer, books=False) as depot:
        with psycopg.connect(depot.database.superuser_url) as conn:
            conn.execute("DROP TRIGGER only_along_arrows ON parcels")
            conn.execute("DROP TRIGGER only_along_arrows ON fulfillments")
            conn.execute("ALTER TABLE parcel_events DROP CONSTRAINT pk_parcel_events")
        dice, both = random.Random(7), False
        for _ in range(20):
            made = dict([await depot.accept(to_branch()) for _ in range(20)])
            depot.time_passes()
            ids = list(made)
            calls = [depot.fulfillment.cancel(*ids[start : start + 5]) for start in range(0, 20, 5)]
            dice.shuffle(calls)
            await asyncio.gather(*calls, depot.work(), return_exceptions=True)
            both = bool(
                depot.rows(
                    "SELECT 1 FROM parcel_events GROUP BY parcel_id "
                    "HAVING bool_or(state = 'cancelled') AND bool_or(state = 'in_transfer')"
                )
            )
            if both:
                break
        assert both
        assert "parcel-cancelled-and-sent" in {found["kind"] for found in await depot.fulfillment.breaks()}
