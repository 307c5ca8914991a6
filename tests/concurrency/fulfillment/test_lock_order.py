"""Reports, changes of parcels and carriers' events take their locks in one order: nobody is thrown out by a deadlock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from services.fulfillment.carriers import store as carriers
from services.fulfillment.fulfillments import store as fulfillments
from services.fulfillment.parcels import store as parcels
from shared import database
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, to_branch
from tests.support.postgres import TestDatabase
from tests.support.road import Road, event, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
PAUSE_SECONDS = 0.4


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


@pytest.fixture
def thrown_out(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What the database gave up since somebody was in the way, tried again or not."""
    seen: list[BaseException] = []
    is_retryable = database.is_retryable

    def noted(error: BaseException) -> bool:
        if is_retryable(error):
            seen.append(error)
            return True
        return False

    monkeypatch.setattr(database, "is_retryable", noted)
    return seen


def slowly(work: Callable[..., Awaitable[Any]], *, before: float = 0.0, after: float = 0.0) -> Callable[..., Awaitable[Any]]:
    async def done(*arguments: Any) -> Any:
        await asyncio.sleep(before)
        answer = await work(*arguments)
        await asyncio.sleep(after)
        return answer

    return done


async def round_of(depot: Depot, lane: str) -> None:
    await depot.worker.run_once(next(one for one in depot.worker._lanes if one.name == lane))


@pytest.mark.proves("G33")
async def test_a_report_and_a_change_of_the_same_parcel_do_not_wait_for_each_other_in_a_circle(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, thrown_out: list[BaseException]
) -> None:
    redemption, parcel = await depot.accept(to_branch())
    depot.time_passes()
    await round_of(depot, "dispatch")
    with monkeypatch.context() as slow:
        slow.setattr(fulfillments, "note_reported", slowly(fulfillments.note_reported, before=PAUSE_SECONDS))
        slow.setattr(parcels, "change_headers", slowly(parcels.change_headers, after=2 * PAUSE_SECONDS))
        _, arrived = await asyncio.gather(round_of(depot, "report"), depot.arrive(parcel))
    assert arrived.status_code == 200
    assert thrown_out == []
    assert set(depot.rows("SELECT failures, last_error FROM tasks WHERE kind = 'report'")) == {(0, None)}
    await depot.leave()
    assert depot.redemption.versions == {redemption: 3}


@pytest.mark.proves("G33", "G34")
async def test_an_event_and_the_task_that_looks_for_its_parcel_do_not_wait_for_each_other_in_a_circle(
    fulfillment_database: TestDatabase,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    thrown_out: list[BaseException],
) -> None:
    async with running_road(fulfillment_database, issuer) as road:
        assert (await road.tell(event("SX1"))).json()["outcome"] == "kept"
        road.hurry("apply_carrier_events")
        with monkeypatch.context() as slow:
            slow.setattr(carriers, "lock_waiting", slowly(carriers.lock_waiting, before=PAUSE_SECONDS, after=PAUSE_SECONDS))
            told, _ = await asyncio.gather(road.tell(event("SX1", sequence=2)), _later(road))
        assert told.json()["outcome"] == "kept"
        assert thrown_out == []
        assert road.depot.rows("SELECT failures FROM tasks WHERE kind = 'apply_carrier_events' AND state = 'ready'") == [(0,)]


async def _later(road: Road) -> None:
    await asyncio.sleep(PAUSE_SECONDS / 4)
    await road.once("carrier events")
