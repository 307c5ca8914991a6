"""Many wrong pickup codes at once, each for another parcel: no more are compared than the limit says; with a control."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.fulfillment.parcels import store
from services.fulfillment.parcels.domain import PickupCodeWrong, TooManyAttempts
from services.fulfillment.parcels.guessing import PERSON_OR_BRANCH
from shared.audit import Actor
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
GUESSES = 40
ENOUGH = PERSON_OR_BRANCH[0].count


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Depot]:
    """Between the look at what was tried and the note of what is tried passes a moment in which others look."""
    quick = store.note_attempt

    async def slow(*given: Any) -> None:
        await asyncio.sleep(0.01)
        await quick(*given)

    monkeypatch.setattr(store, "note_attempt", slow)
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"), branch("B002"))
        yield running


async def guess_at_once(depot: Depot, *, branches: tuple[str, ...], people: int) -> int:
    """Wrong codes at two processes at once; how many were compared."""
    counters = (depot.fulfillment.parts.counter, depot.hands.counter)
    parcels = [(UUID(await depot.ready(branches[n % len(branches)])), branches[n % len(branches)]) for n in range(GUESSES)]
    few = asyncio.Semaphore(8)

    async def guess(number: int) -> int:
        parcel, where = parcels[number]
        actor = Actor(f"staff:person-{number % people}", "console", "a guess")
        async with few:
            try:
                await counters[number % 2].hand_over(parcel, where, "not a code", actor)
            except PickupCodeWrong:
                return 1
            except TooManyAttempts:
                return 0
        raise AssertionError("a word is no code")

    compared = sum(await asyncio.gather(*map(guess, range(GUESSES))))
    assert depot.rows("SELECT count(*) FROM pickup_attempts") == [(compared,)]
    return compared


@pytest.mark.proves("G12", "G13", "F2")
async def test_one_person_at_two_branches_tries_twenty_and_no_more(depot: Depot) -> None:
    assert await guess_at_once(depot, branches=("B001", "B002"), people=1) == ENOUGH


@pytest.mark.proves("G12", "G13", "F2")
async def test_at_one_branch_twenty_are_tried_and_no_more_by_however_many_people(depot: Depot) -> None:
    assert await guess_at_once(depot, branches=("B001",), people=GUESSES) == ENOUGH


async def test_control_without_their_locks_more_are_tried(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_door(*given: Any) -> None:
        """Nobody waits for anybody; but all for a moment, so that they are there together however slow the machine is."""
        await asyncio.sleep(0.2)

    monkeypatch.setattr(store, "lock_counts", open_door)
    assert await guess_at_once(depot, branches=("B001",), people=GUESSES) > ENOUGH
