"""Redemption is told how far its fulfillments are: in sets, by version, until it has taken it; one refused spoils no other."""

from collections.abc import AsyncIterator

import pytest

from shared import failpoints
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, line, to_branch, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


def reported(depot: Depot) -> dict[str, tuple[int, int]]:
    rows = depot.rows("SELECT id::text, version, reported_version FROM fulfillments")
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.proves("G34")
async def test_many_changes_are_told_in_few_calls_and_by_their_last_version(depot: Depot) -> None:
    made = dict([await depot.accept(to_branch()) for _ in range(20)])
    await depot.leave()
    told = [len(call) for call in depot.redemption.calls]
    assert sum(told) >= 20
    assert len(told) < 20
    assert depot.redemption.versions == dict.fromkeys(made, 2)
    assert reported(depot) == dict.fromkeys(made, (2, 2))


async def test_vouchers_alone_are_told_by_the_answer_to_their_acceptance(depot: Depot) -> None:
    await depot.fulfillment.accept(wish(line(1)))
    await depot.leave()
    assert depot.redemption.calls == []
    assert depot.rows("SELECT 1 FROM tasks WHERE kind = 'report'") == []


@pytest.mark.proves("G34", "X3")
@pytest.mark.parametrize("fault", ["down", "lost-answer"])
async def test_what_was_not_heard_is_told_again(depot: Depot, fault: str) -> None:
    depot.redemption.faults = [fault]
    redemption, _ = await depot.accept(to_branch())
    await depot.leave()
    await depot.leave()
    assert depot.redemption.versions == {redemption: 2}
    assert reported(depot) == {redemption: (2, 2)}


@pytest.mark.proves("X3")
@pytest.mark.parametrize("point", ["report__after_call", "report__before_commit"])
async def test_a_worker_that_dies_with_the_answer_tells_again(depot: Depot, point: str) -> None:
    redemption, _ = await depot.accept(to_branch())
    failpoints.arm(**{point: "raise"})
    await depot.leave()
    failpoints.arm()
    assert reported(depot) == {redemption: (2, 1)}
    await depot.leave()
    assert reported(depot) == {redemption: (2, 2)}
    assert len(depot.redemption.calls) >= 2


@pytest.mark.proves("G25")
async def test_one_that_redemption_refuses_spoils_no_other_and_is_never_given_up(depot: Depot) -> None:
    made = dict([await depot.accept(to_branch()) for _ in range(9)])
    poison, *rest = made
    depot.redemption.refuses = {poison}
    await depot.leave()
    assert set(depot.redemption.versions) == set(rest)
    [(state, error)] = depot.rows("SELECT state, last_error FROM tasks WHERE kind = 'report' AND ref = %s", poison)
    assert (state, error) == ("ready", "redemption answered 422 validation-error")
    depot.redemption.refuses = set()
    await depot.leave()
    assert set(depot.redemption.versions) == set(made)


async def test_what_redemption_does_not_know_is_told_again(depot: Depot) -> None:
    redemption, _ = await depot.accept(to_branch())
    depot.redemption.forgets = {redemption}
    await depot.leave()
    assert reported(depot) == {redemption: (2, 1)}
    depot.redemption.forgets = set()
    await depot.leave()
    assert reported(depot) == {redemption: (2, 2)}


@pytest.mark.proves("G34")
async def test_a_change_during_a_report_is_told_after_it(depot: Depot) -> None:
    """The call is made, then the parcel arrives, then the answer is written down: the task runs once more."""
    redemption, parcel = await depot.accept(to_branch())
    taker = depot.hands.reporting._taker
    heard = type(taker).take_outcomes

    async def slowly(told: object) -> object:
        answer = await heard(taker, told)  # type: ignore[arg-type]
        if depot.state(parcel) == "in_transfer":
            assert (await depot.arrive(parcel)).status_code == 200
        return answer

    taker.take_outcomes = slowly  # type: ignore[method-assign,assignment]
    await depot.leave()
    assert depot.redemption.versions == {redemption: 3}
    assert depot.redemption.parts[redemption][0]["state"] == "ready"
