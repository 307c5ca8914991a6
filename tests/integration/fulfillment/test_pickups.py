"""Pickup at a branch: arrival, the code, the counter, wrong codes, reminders, and what nobody collects (F2)."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import errors

from services.fulfillment.parcels import counter, waiting
from services.fulfillment.worker import make_worker
from shared import failpoints
from shared.clock import SetClock
from shared.tasks import NewTask
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, by_courier, to_branch
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
START = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)  # noon in the bank's time zone


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"), branch("B002"))
        yield running


@asynccontextmanager
async def at(database: TestDatabase, issuer: Issuer, clock: SetClock) -> AsyncIterator[Depot]:
    async with running_depot(database, issuer, clock=clock) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


def code_of(answer: object) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]  # type: ignore[attr-defined]


async def hourly(depot: Depot, kind: str) -> int:
    parts = depot.hands
    async with parts.database.transaction() as conn:
        await parts.tasks.add(conn, [NewTask(kind=kind, run_at=START - dt.timedelta(days=99), dedupe_key=kind)])
    lane = next(lane for lane in make_worker(parts)._lanes if lane.name == "housekeeping")
    runs = 0
    while await make_worker(parts).run_once(lane):
        runs += 1
    return runs


@pytest.mark.proves("F2", "G46")
async def test_a_parcel_arrives_is_shown_a_code_for_and_handed_over(depot: Depot) -> None:
    redemption, parcel = await depot.accept(to_branch())
    await depot.leave()
    arrived = await depot.arrive(parcel)
    assert (arrived.status_code, arrived.json()["state"]) == (200, "ready")
    today = dt.datetime.now(dt.timezone(dt.timedelta(hours=8))).date()
    assert arrived.json()["ready_until"] == (today + dt.timedelta(days=14)).isoformat()
    code = await depot.code(parcel)
    digits = code.replace(" ", "")
    assert (len(digits), digits.isdigit()) == (8, True)
    assert digits not in arrived.text
    assert depot.rows("SELECT kind FROM notices") == [("pickup_ready",)]
    handed = await depot.hand_over(parcel, code)
    assert (handed.status_code, handed.json()["state"]) == (200, "collected")
    assert [event["kind"] for event in handed.json()["events"]] == ["preparing", "in_transfer", "ready", "collected"]
    await depot.work()
    assert [part["state"] for part in depot.redemption.parts[redemption]] == ["collected"]
    assert depot.rows("SELECT state FROM fulfillments") == [("completed",)]
    query = "SELECT action, actor, reason FROM audit_entries WHERE actor LIKE 'staff:%%' ORDER BY id"
    assert depot.rows(query) == [
        ("parcel.ready", "staff:person-of-clerk-1", "arrived at the branch"),
        ("parcel.collected", "staff:person-of-clerk-1", "handed over at the counter"),
    ]


@pytest.mark.proves("F2", "X3")
async def test_arrival_and_handover_again_change_nothing(depot: Depot) -> None:
    parcel = await depot.ready()
    code = await depot.code(parcel)
    assert (await depot.arrive(parcel)).json()["state"] == "ready"
    assert await depot.code(parcel) == code, "a second arrival makes no second code"
    first, second = await depot.hand_over(parcel, code), await depot.hand_over(parcel, code.replace(" ", "-"))
    assert (first.status_code, first.content) == (second.status_code, second.content) == (200, first.content)
    assert (await depot.arrive(parcel)).json()["state"] == "collected"
    assert depot.rows("SELECT version FROM parcels") == [(4,)]


@pytest.mark.proves("G39", "F2")
async def test_another_branchs_parcels_do_not_exist_at_this_one(depot: Depot) -> None:
    parcel = await depot.ready()
    code = await depot.code(parcel)
    assert [(await depot.arrive(parcel, "B002")).status_code, (await depot.hand_over(parcel, code, "B002")).status_code] == [
        404,
        404,
    ]
    client, nowhere = depot.fulfillment.client, depot.staff(None)
    assert (await client.put(f"/v1/parcels/{parcel}/arrival", headers=nowhere)).status_code == 404
    for headers in (depot.staff("B002"), nowhere):
        assert (await client.get("/v1/branches/B001/pickups", headers=headers)).status_code == 404
    own = await client.get("/v1/branches/B001/pickups", headers=depot.staff())
    assert [(one["id"], one["state"]) for one in own.json()["items"]] == [(parcel, "ready")]
    for state, count in (("ready", 1), ("in_transfer", 0)):
        listed = await client.get("/v1/branches/B001/pickups", headers=depot.staff(), params={"state": state})
        assert len(listed.json()["items"]) == count


@pytest.mark.proves("F2", "G12", "G13")
async def test_five_wrong_codes_in_ten_minutes_are_enough_even_after_a_restart(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    clock = SetClock(START)
    async with at(fulfillment_database, issuer, clock) as depot:
        parcel, other = await depot.ready(), await depot.ready()
        code = await depot.code(parcel)
        wrong = "9090 9090" if not code.startswith("9090") else "1111 1111"
        for _ in range(5):
            answer = await depot.hand_over(parcel, wrong)
            assert (answer.status_code, code_of(answer)) == (409, "pickup-code-wrong")
            clock.advance(dt.timedelta(minutes=1))
        assert depot.state(other) == "ready"
        assert (await depot.hand_over(other, await depot.code(other))).status_code == 200, "another parcel is not concerned"
    async with running_depot(fulfillment_database, issuer, clock=clock, known=False) as depot:
        blocked = await depot.hand_over(parcel, code)
        assert (blocked.status_code, code_of(blocked)) == (429, "too-many-attempts")
        assert blocked.headers["retry-after"] == "301"
        assert wrong.replace(" ", "") not in blocked.text
        assert depot.rows("SELECT count(*) FROM audit_entries WHERE action = 'parcel.code_wrong'") == [(5,)]
        clock.advance(dt.timedelta(minutes=5, seconds=1))
        assert (await depot.hand_over(parcel, code)).status_code == 200


@pytest.mark.proves("F2")
async def test_what_does_not_lie_ready_is_not_handed_over_and_shows_no_code(depot: Depot) -> None:
    _, parcel = await depot.accept(to_branch())
    early = await depot.hand_over(parcel, "12345678")
    assert (early.status_code, code_of(early), early.json()["state"]) == (409, "parcel-not-ready", "preparing")
    assert (await depot.arrive(parcel)).status_code == 409
    owner = depot.fulfillment.issuer.customer()
    shown = await depot.fulfillment.get(f"/v1/parcels/{parcel}/pickup-code", owner)
    assert (shown.status_code, code_of(shown)) == (409, "pickup-code-not-showable")
    await depot.leave()
    assert (await depot.arrive(parcel)).status_code == 200
    code = await depot.code(parcel)
    await depot.hand_over(parcel, code)
    assert (await depot.fulfillment.get(f"/v1/parcels/{parcel}/pickup-code", owner)).status_code == 409
    assert (await depot.hand_over(parcel, "87654321" if code != "8765 4321" else "11111111")).status_code == 409
    _, sent = await depot.accept(by_courier())
    assert (await depot.arrive(sent)).status_code == 404


@pytest.mark.proves("G12", "G49")
async def test_pickup_codes_are_in_no_row_and_no_answer_but_one(depot: Depot) -> None:
    parcel = await depot.ready()
    code = (await depot.code(parcel)).replace(" ", "")
    assert (await depot.hand_over(parcel, code)).status_code == 200
    tables = ("parcels", "parcel_events", "tasks", "audit_entries", "notices", "pickup_attempts")
    for table in tables:
        assert code not in str(depot.rows(f"SELECT t::text FROM {table} t")), table
    shown = await depot.fulfillment.get(f"/v1/parcels/{parcel}", depot.fulfillment.issuer.customer())
    assert code not in shown.text


@pytest.mark.proves("F2")
async def test_a_code_waits_once_at_a_branch(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dice fall alike again and again: the second parcel takes the next code, and the index would refuse it."""
    fallen = iter(["11111111"] * 5 + ["22222222"] * 8)
    monkeypatch.setattr(counter, "new_code", lambda: next(fallen))
    one, two = await depot.ready(), await depot.ready()
    assert {await depot.code(one), await depot.code(two)} == {"1111 1111", "2222 2222"}
    twin = "UPDATE parcels SET code_hmac = (SELECT code_hmac FROM parcels WHERE id = %s) WHERE id = %s"
    with psycopg.connect(depot.database.superuser_url) as conn, pytest.raises(errors.UniqueViolation, match="uq_parcels_code"):
        conn.execute(twin, [one, two])


@pytest.mark.proves("F2", "G46")
async def test_what_nobody_collects_goes_back_after_its_last_day_and_is_reminded_of_before(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    clock = SetClock(START)
    async with at(fulfillment_database, issuer, clock) as depot:
        parcel = await depot.ready()
        await hourly(depot, "remind_of_pickups")
        assert depot.rows("SELECT kind FROM notices") == [("pickup_ready",)]
        clock.instant = dt.datetime(2026, 12, 2, 16, 0, tzinfo=dt.UTC)  # the third day before the last begins
        for _ in range(2):
            await hourly(depot, "remind_of_pickups")
        assert sorted(depot.rows("SELECT kind FROM notices")) == [("pickup_ready",), ("pickup_reminder",)]
        clock.instant = dt.datetime(2026, 12, 6, 15, 59, 59, tzinfo=dt.UTC)
        await hourly(depot, "expire_pickups")
        assert depot.state(parcel) == "ready", "its last day is not over"
        clock.advance(dt.timedelta(seconds=1))
        for _ in range(2):
            await hourly(depot, "expire_pickups")
        assert depot.state(parcel) == "returned"
        assert depot.rows("SELECT count(*) FROM notices WHERE kind = 'pickup_expired'") == [(1,)]
        await depot.work()
        [[part]] = depot.redemption.parts.values()
        assert (part["state"], part["ready_until"]) == ("returned", "2026-12-06")
        assert depot.rows("SELECT state FROM fulfillments") == [("returned",)]
        assert (await depot.hand_over(parcel, "12345678")).status_code == 409
        query = "SELECT actor FROM audit_entries WHERE action = 'parcel.returned'"
        assert depot.rows(query) == [("rule:pickup-expiry",)]


async def test_many_expire_in_several_commits(
    fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE_MAX", 2)
    clock = SetClock(START)
    async with at(fulfillment_database, issuer, clock) as depot:
        for _ in range(5):
            await depot.ready()
        clock.advance(dt.timedelta(days=30))
        with psycopg.connect(depot.database.superuser_url) as conn:  # the clock is set: what is due is due by the database's
            conn.execute("UPDATE tasks SET run_at = now() WHERE kind = 'expire_pickups'")
        runs = 0
        while depot.rows("SELECT 1 FROM parcels WHERE state = 'ready'"):
            await hourly(depot, "expire_pickups")
            runs += 1
        assert runs <= 3


@pytest.mark.proves("X3", "F2")
@pytest.mark.parametrize("point", ["arrival__before_commit", "arrival__after_commit"])
async def test_a_crash_at_the_arrival_leaves_one_code(depot: Depot, point: str) -> None:
    _, parcel = await depot.accept(to_branch())
    await depot.leave()
    failpoints.arm(**{point: "raise"})
    assert (await depot.arrive(parcel)).status_code == 500
    failpoints.arm()
    assert (await depot.arrive(parcel)).status_code == 200
    assert depot.rows("SELECT count(*) FROM parcel_events WHERE kind = 'ready'") == [(1,)]
    code = await depot.code(parcel)
    for late in ("handover__before_commit", "handover__after_commit"):
        failpoints.arm(**{late: "raise"})
        assert (await depot.hand_over(parcel, code)).status_code == 500
        failpoints.arm()
    assert (await depot.hand_over(parcel, code)).status_code == 200
    assert depot.rows("SELECT count(*) FROM parcel_events WHERE kind = 'collected'") == [(1,)]


@pytest.mark.proves("F2")
async def test_a_full_branch_moves_the_day_and_refuses_nothing(fulfillment_database: TestDatabase, issuer: Issuer) -> None:
    clock = SetClock(START)
    async with at(fulfillment_database, issuer, clock) as depot:
        await depot.fulfillment.write_branches(branch("B001", capacity_parcels=2))
        expected = []
        for _ in range(5):
            await depot.accept(to_branch())
            expected.append((await depot.fulfillment.parcels())[0]["expected_on"])
        assert expected == ["2026-11-25", "2026-11-25", "2026-12-09", "2026-12-09", "2026-12-23"]
        listed = await depot.fulfillment.get("/v1/branches", depot.fulfillment.issuer.customer())
        assert [(one["code"], one["ready_by"]) for one in listed.json()["items"]] == [("B001", "2026-12-23")]
