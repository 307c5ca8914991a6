"""What a document gives back: the pure decision over counters, whatever comes in whatever order."""

import datetime as dt
import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.reservations.domain import State
from services.catalog.returns.domain import (
    Decision,
    DrawCounter,
    GivesBack,
    LineCounter,
    Return,
    ReturnedLine,
    ReturnOutcome,
    Standing,
    decide,
)
from shared.audit import Actor

DAY = dt.date(2026, 11, 23)
ACTOR = Actor("service:redemption", "app")
UNIT_COST = 7


def standing(state: State, *draws: list[int]) -> Standing:
    """One reservation; each line is the units that it drew from batches, the batch that comes first in front."""
    one = uuid.UUID(int=1)
    lines = {
        (one, n): LineCounter(one, n, "C", uuid.UUID(int=n), DAY, sum(units), sum(units) * UNIT_COST, 0, 0)
        for n, units in enumerate(draws, start=1)
    }
    drawn = {
        (one, n): [DrawCounter(one, n, uuid.UUID(int=100 + b), units, 0, 0) for b, units in enumerate(batches)]
        for n, batches in enumerate(draws, start=1)
    }
    return Standing({one: state}, lines, drawn)


def document(*lines: tuple[int, int], gives_back: GivesBack = GivesBack.STOCK_AND_PLACES, of: int = 1) -> Return:
    found = tuple(ReturnedLine(number, quantity) for number, quantity in lines)
    return Return(uuid.uuid4(), uuid.UUID(int=of), gives_back, found, ACTOR)


def outcomes(decision: Decision) -> list[str]:
    return [outcome.outcome for outcome in decision.outcomes.values()]


def test_units_go_back_to_the_first_batch_until_it_has_all_of_its_own() -> None:
    given_standing = standing(State.CONSUMED, [2, 3])
    decision = decide([document((1, 1)), document((1, 3))], given_standing)
    assert [(moved.batch_id.int, moved.kind, moved.quantity) for moved in decision.moved] == [
        (100, "returned", 1),
        (100, "returned", 1),
        (101, "returned", 2),
    ]
    assert decision.batches == {uuid.UUID(int=100): (0, -2), uuid.UUID(int=101): (0, -2)}


def test_a_document_is_taken_whole_or_not_at_all() -> None:
    given_standing = standing(State.HELD, [2], [2])
    decision = decide([document((1, 2), (2, 3)), document((1, 2)), document((3, 1)), document((1, 1), of=2)], given_standing)
    assert outcomes(decision) == ["too_many", "returned", "too_many", "unknown"]
    assert {key[1]: line.returned for key, line in given_standing.lines.items()} == {1: 2, 2: 0}


@pytest.mark.parametrize("state", [State.RELEASED, State.REFUSED])
def test_what_is_not_held_any_more_gives_nothing_back(state: State) -> None:
    assert outcomes(decide([document((1, 1))], standing(state, [5]))) == ["too_many"]


def test_equal_documents_have_equal_fingerprints_whoever_sends_them_and_in_whatever_order() -> None:
    first = document((1, 1), (2, 2))
    same = Return(first.id, first.reservation_id, first.gives_back, first.lines[::-1], Actor("service:other", "worker"))
    assert first.fingerprint == same.fingerprint
    others = [document((1, 2), (2, 2)), document((1, 1), (2, 2), gives_back=GivesBack.STOCK), document((1, 1), (2, 2), of=3)]
    assert first.fingerprint not in {other.fingerprint for other in others}


DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from(GivesBack),
        st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3, unique_by=lambda line: line[0]),
    ),
    max_size=8,
)


@pytest.mark.proves("K7")
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([State.HELD, State.CONSUMED]),
    st.lists(st.lists(st.integers(1, 3), min_size=1), min_size=1, max_size=3),
    DOCUMENTS,
)
def test_whatever_comes_back_no_unit_comes_back_twice_and_every_change_is_explained(
    state: State, draws: list[list[int]], asked: list[tuple[GivesBack, list[tuple[int, int]]]]
) -> None:
    given_standing = standing(state, *draws)
    documents = [document(*lines, gives_back=gives_back) for gives_back, lines in asked]
    decision = decide(documents, given_standing)

    assert list(decision.outcomes) == [one.id for one in documents]
    taken = [one for one in documents if decision.outcomes[one.id].outcome == ReturnOutcome.RETURNED]
    assert decision.granted == taken
    said: Counter[tuple[int, GivesBack]] = Counter()
    for one in taken:
        for line in one.lines:
            said[line.number, one.gives_back] += line.quantity
    for (_, number), counter in given_standing.lines.items():
        assert counter.returned == sum(said[number, why] for why in GivesBack) <= counter.quantity
        assert counter.places_returned == said[number, GivesBack.STOCK_AND_PLACES]
        found = given_standing.draws[counter.reservation_id, number]
        assert sum(draw.returned for draw in found) == counter.returned
        assert sum(draw.restocked for draw in found) == counter.returned - said[number, GivesBack.NOTHING]
        assert all(0 <= draw.restocked <= draw.returned <= draw.quantity for draw in found)
    moved = Counter[str]()
    for one_move in decision.moved:
        moved[one_move.kind] += one_move.quantity
    held, consumed = map(sum, zip((0, 0), *decision.batches.values(), strict=True))
    assert (held, consumed) == (-moved["given_back"] - moved["lost"], moved["lost"] - moved["returned"])
    cancelled = sum(said[number, GivesBack.STOCK_AND_PLACES] for number in (1, 2, 3))
    others = sum(said.values()) - cancelled
    committed, spent = map(sum, zip((0, 0), *decision.budgets.values(), strict=True))
    expected = (-cancelled - others, others) if state is State.HELD else (0, -cancelled)
    assert (committed, spent) == (expected[0] * UNIT_COST, expected[1] * UNIT_COST)
    assert sum(decision.places.values()) == cancelled
