"""Booking with a carrier that misbehaves, and with a worker that dies at each of its steps: one parcel, one tracking number."""

from collections.abc import AsyncIterator

import pytest

from shared import failpoints, http_client
from shared.tasks import Claim
from tests.support.postgres import TestDatabase
from tests.support.road import Road, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
PARCELS = 3


@pytest.fixture
async def road(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Road]:
    async with running_road(fulfillment_database, issuer) as running:
        yield running


async def finish(road: Road) -> None:
    """Back-offs and leases are over, and the circuit to the courier lets a call through again, a few times over."""
    breaker = road.depot.hands.dispatching._carrier._client._breaker  # type: ignore[attr-defined]
    for _ in range(3):
        breaker._next_try_at = 0.0
        road.change("UPDATE tasks SET run_at = now(), lease_until = now() WHERE state = 'ready' AND kind = 'dispatch'")
        await road.worker.drain()


async def all_are_dispatched_once(road: Road) -> None:
    seen = await road.courier.see("parcels")
    assert len(seen) == PARCELS, "a parcel that was booked twice would be seen twice"
    booked = {parcel["reference"]: parcel["tracking_number"] for parcel in seen}
    rows = dict(road.depot.rows("SELECT id::text, tracking_number FROM parcels WHERE state = 'dispatched'"))
    assert rows == booked
    assert len(set(booked.values())) == PARCELS
    events = road.depot.rows("SELECT kind, count(*) FROM parcel_events GROUP BY kind")
    assert dict(events) == {"preparing": PARCELS, "dispatching": PARCELS, "dispatched": PARCELS}
    assert [message["kind"] for message in await road.notifications.see("messages")] == ["parcel_dispatched"] * PARCELS
    following = "SELECT count(*) FROM tasks WHERE kind = 'follow_parcel' AND state = 'ready'"
    assert road.depot.rows(following) == [(PARCELS,)]


@pytest.mark.proves("F1", "G30", "G33")
@pytest.mark.parametrize("mode", ["slow", "fail", "lose_answer", "answer_twice"])
@pytest.mark.parametrize("times", [1, 7])
async def test_whatever_the_courier_does_each_parcel_has_one_tracking_number(
    road: Road, monkeypatch: pytest.MonkeyPatch, mode: str, times: int
) -> None:
    await road.accept(PARCELS)
    await road.courier.fault(mode=mode, times=times, seconds=3.0)
    with monkeypatch.context() as impatient:
        impatient.setattr(http_client, "CALL_SECONDS", 0.3)
        for _ in range(4):
            road.hurry("dispatch")
            await road.once("dispatch")
    await road.courier.fault(mode="none")
    await finish(road)
    await all_are_dispatched_once(road)


@pytest.mark.proves("F1", "G30")
@pytest.mark.parametrize("point", ["after_decision", "after_call", "before_commit", "after_commit"])
@pytest.mark.parametrize("mode", ["none", "lose_answer"])
async def test_wherever_the_worker_dies_each_parcel_has_one_tracking_number(road: Road, point: str, mode: str) -> None:
    await road.accept(PARCELS)
    await road.courier.fault(mode=mode, times=1)
    road.hurry("dispatch")
    failpoints.arm(**{f"dispatch__{point}": "raise"})
    try:
        await road.once("dispatch")
    finally:
        failpoints.arm()
    assert f"dispatch.{point}" in failpoints.known
    await finish(road)
    await all_are_dispatched_once(road)


@pytest.mark.proves("F1", "G30")
async def test_a_worker_that_slept_through_its_lease_writes_nothing_when_another_was_quicker(road: Road) -> None:
    await road.accept(PARCELS)
    road.hurry("dispatch")
    await road.courier.fault(mode="lose_answer", times=PARCELS)
    await road.once("dispatch")
    stale = await _claims(road)
    await finish(road)
    await road.depot.hands.dispatching.dispatch(stale)
    await all_are_dispatched_once(road)


async def _claims(road: Road) -> list[Claim]:
    road.hurry("dispatch")
    async with road.depot.hands.database.transaction() as conn:
        return await road.depot.hands.tasks.claim(conn, ["dispatch"], PARCELS)
