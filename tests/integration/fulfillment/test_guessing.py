"""Pickup codes are not guessed: wrong ones count against the parcel, the person who types and the branch (F2, G12)."""

import datetime as dt
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from services.fulfillment.parcels.guessing import PERSON_OR_BRANCH, Limit
from shared.clock import SetClock
from shared.ids import new_id
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
START = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
SHORT, LONG = PERSON_OR_BRANCH


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer, clock: SetClock) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer, clock=clock) as running:
        await running.fulfillment.write_branches(branch("B001"), branch("B002"))
        yield running


async def guess(depot: Depot, times: int, at: str = "B001", by: str = "clerk-1") -> None:
    """So many wrong codes, four a parcel, so that no parcel says that it is enough."""
    for start in range(0, times, 4):
        parcel = await depot.ready(at)
        wrong = "90909090" if not (await depot.code(parcel)).startswith("9090") else "11111111"
        for _ in range(min(4, times - start)):
            answer = await depot.hand_over(parcel, wrong, at, by)
            assert answer.status_code == 409, answer.text


async def shown(depot: Depot, at: str, by: str) -> tuple[int, str | None]:
    """How the right code of a fresh parcel is answered, and when to come again."""
    parcel = await depot.ready(at)
    answer = await depot.hand_over(parcel, await depot.code(parcel), at, by)
    return answer.status_code, answer.headers.get("retry-after")


def test_the_limits_are_those_of_the_bank() -> None:
    assert (Limit(20, dt.timedelta(minutes=10)), Limit(100, dt.timedelta(days=1))) == (SHORT, LONG)


@pytest.mark.proves("F2", "G12", "G13")
async def test_twenty_wrong_codes_of_one_person_are_enough_at_whatever_branch(depot: Depot, clock: SetClock) -> None:
    await guess(depot, 10, "B001", "clerk-1")
    await guess(depot, 9, "B002", "clerk-1")
    assert await shown(depot, "B002", "clerk-1") == (200, None), "nineteen are not enough"
    clock.advance(dt.timedelta(minutes=2))
    await guess(depot, 1, "B002", "clerk-1")
    assert await shown(depot, "B001", "clerk-1") == (429, "481")
    assert await shown(depot, "B001", "clerk-2") == (200, None), "a colleague goes on"
    clock.advance(dt.timedelta(minutes=8, seconds=1))
    assert await shown(depot, "B001", "clerk-1") == (200, None)


@pytest.mark.proves("F2", "G12", "G13")
async def test_twenty_wrong_codes_at_one_branch_are_enough_whoever_types_them(depot: Depot) -> None:
    for number in range(5):
        await guess(depot, 4, "B001", f"clerk-{number}")
    assert (await shown(depot, "B001", "clerk-9"))[0] == 429
    assert (await shown(depot, "B001", "clerk-0"))[0] == 429
    assert (await shown(depot, "B002", "clerk-0"))[0] == 200, "another branch is not concerned"


@pytest.mark.proves("F2", "G12", "G13")
@pytest.mark.parametrize("column", ["person", "branch"])
async def test_a_hundred_wrong_codes_in_a_day_are_enough_however_slowly_they_come(
    depot: Depot, clock: SetClock, column: str
) -> None:
    """Two are typed; the others stand there as if they had been, ten minutes and more apart in twenties."""
    await guess(depot, 1)
    [(parcel,)] = depot.rows("SELECT parcel_id FROM pickup_attempts")
    noted(depot, parcel, column, LONG.count - 2)
    clock.advance(dt.timedelta(hours=1))
    assert await shown(depot, "B001", "clerk-1") == (200, None), "ninety-nine are not enough"
    await guess(depot, 1)
    status, seconds = await shown(depot, "B001", "clerk-1")
    assert (status, seconds) == (429, str(int((dt.timedelta(days=1) - EARLIER - dt.timedelta(hours=1)).total_seconds()) + 1))
    clock.advance(dt.timedelta(days=1) - EARLIER - dt.timedelta(hours=1) + dt.timedelta(seconds=1))
    assert await shown(depot, "B001", "clerk-1") == (200, None)


EARLIER = dt.timedelta(hours=20)


def noted(depot: Depot, parcel: UUID, column: str, times: int) -> None:
    """Wrong codes twenty hours ago, of this person at other branches, or at this branch by others."""
    mine = {"person": "staff:person-of-clerk-1", "branch": "B001"}
    whose = {name: value if name == column else "somewhere else" for name, value in mine.items()}
    with psycopg.connect(depot.database.superuser_url) as conn:
        for _ in range(times):
            conn.execute(
                "INSERT INTO pickup_attempts (id, parcel_id, person, branch, at) VALUES (%s, %s, %s, %s, %s)",
                [new_id(), parcel, whose["person"], whose["branch"], START - EARLIER],
            )
