"""States, arrows and personal limits."""

import itertools
import re
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.redemption.deliveries.domain import STATES_OF, Way
from services.redemption.neighbours.catalog import Outcome
from services.redemption.offers.domain import Offer
from services.redemption.problems import CATALOGUE
from services.redemption.redemptions.domain import (
    ARROWS,
    LIVE,
    REFUSALS,
    TASK_OF,
    Command,
    Event,
    InvalidTransition,
    LimitReached,
    Line,
    State,
    decide,
    limits_of,
    take_limits,
)
from services.redemption.redemptions.use_cases.drive import _event_of
from services.redemption.redemptions.words import EVENTS, REASONS, STATES, event_in_words, state_in_words
from services.redemption.returns.domain import Kind
from shared.languages import LANGUAGES

SERVICES = Path(__file__).parents[4] / "services"
MIGRATIONS = SERVICES / "redemption" / "migrations" / "versions"
TODAY = date(2026, 3, 31)
WITH_POINTS = {"accepted", "confirmed", "declined", "cancelled", "stopped", "not_collected", "came_back", "lost"}
STOPPED = {Command.REFUND_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION}
EXPECTED = {
    (State.ACCEPTED, Event.RESERVED): (State.CONFIRMED, {Command.POST_POINTS, Command.FULFIL}),
    (State.ACCEPTED, Event.REFUSED): (State.DECLINED, {Command.RELEASE_POINTS, Command.RELEASE_LIMITS}),
    (State.ACCEPTED, Event.DEADLINE_PASSED): (
        State.DECLINED, {Command.RELEASE_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION},
    ),
    (State.ACCEPTED, Event.CANCEL_ASKED): (
        State.CANCELLED, {Command.RELEASE_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION},
    ),
    (State.CONFIRMED, Event.DELIVERED): (State.FULFILLED, {Command.CONSUME_RESERVATION}),
    (State.CONFIRMED, Event.UNDER_WAY): (State.DELIVERING, {Command.WATCH}),
    (State.CONFIRMED, Event.CAME_BACK): (State.RETURNED, {Command.REFUND_POINTS}),
    (State.CONFIRMED, Event.STOPPED): (State.CANCELLED, STOPPED),
    (State.CONFIRMED, Event.CANCEL_ASKED): (State.CANCELLING, {Command.STOP}),
    (State.DELIVERING, Event.DELIVERED): (State.FULFILLED, set()),
    (State.DELIVERING, Event.CAME_BACK): (State.RETURNED, {Command.REFUND_POINTS}),
    (State.DELIVERING, Event.STOPPED): (State.CANCELLED, STOPPED),
    (State.DELIVERING, Event.CANCEL_ASKED): (State.CANCELLING, {Command.STOP}),
    (State.CANCELLING, Event.DELIVERED): (State.FULFILLED, {Command.CONSUME_RESERVATION}),
    (State.CANCELLING, Event.UNDER_WAY): (State.DELIVERING, {Command.WATCH}),
    (State.CANCELLING, Event.CAME_BACK): (State.RETURNED, {Command.REFUND_POINTS}),
    (State.CANCELLING, Event.STOPPED): (State.CANCELLED, STOPPED),
}  # fmt: skip


def offer(number: int = 1, **given_values: Any) -> Offer:
    usual: dict[str, Any] = {
        "id": uuid.UUID(int=number), "version": 1, "campaign": "C", "reward": {"code": "R", "names": {}}, "voucher": None,
        "price_points": 100, "per_customer": None, "per_day": None,
    }  # fmt: skip
    return Offer(**{**usual, **given_values})


@pytest.mark.proves("G20")
@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_of_state_and_event_has_its_arrow_or_is_refused(state: State, event: Event) -> None:
    if (state, event) in EXPECTED:
        to, commands = decide(state, event)
        assert (to, set(commands)) == EXPECTED[state, event]
    else:
        with pytest.raises(InvalidTransition) as refused:
            decide(state, event)
        assert refused.value.facts == {"state": state.value, "event": event.value}


@pytest.mark.proves("G22")
def test_a_refusal_after_doubt_leaves_a_release_behind_and_one_without_doubt_does_not() -> None:
    assert Command.RELEASE_RESERVATION in decide(State.ACCEPTED, Event.REFUSED, in_doubt=True)[1]
    assert Command.RELEASE_RESERVATION not in decide(State.ACCEPTED, Event.REFUSED)[1]
    assert Command.RELEASE_RESERVATION in decide(State.ACCEPTED, Event.DEADLINE_PASSED)[1]


@pytest.mark.proves("G20", "G21")
def test_after_the_pivot_nothing_leads_back_and_points_go_back_only_when_fulfillment_says_that_nothing_is_handed_out() -> None:
    seen: set[State] = set()
    at = {State.CONFIRMED}
    while at - seen:
        seen |= at
        at = {to for (state, _), (to, _) in ARROWS.items() if state in seen}
    assert seen == set(State) - {State.ACCEPTED, State.DECLINED}
    refunding = {event for (_, event), (_, commands) in ARROWS.items() if Command.REFUND_POINTS in commands}
    assert refunding == {Event.STOPPED, Event.CAME_BACK}
    before = {event for (state, event), (_, commands) in ARROWS.items() if Command.RELEASE_POINTS in commands}
    assert before == {event for (state, event) in ARROWS if state is State.ACCEPTED} - {Event.RESERVED}


@pytest.mark.proves("G19")
def test_every_state_that_is_no_end_has_a_task_that_carries_it_on() -> None:
    ends = set(State) - {state for state, _ in ARROWS}
    assert LIVE == set(State) - ends == set(TASK_OF)


@pytest.mark.proves("G20")
def test_the_database_allows_exactly_the_arrows_of_the_domain() -> None:
    guards = [text for path in sorted(MIGRATIONS.glob("*.py")) if "guard_redemption()" in (text := path.read_text())]
    assert guards
    allowed = re.search(r"\(OLD\.state, NEW\.state\) NOT IN\s*\((.*?)\) THEN", guards[-1], re.DOTALL)
    assert allowed
    assert set(re.findall(r"\('(\w+)', '(\w+)'\)", allowed[1])) == {
        (state.value, to.value) for (state, _), (to, _) in ARROWS.items()
    }


def test_what_the_catalog_says_is_understood_or_left_alone() -> None:
    events = {
        said: _event_of(Outcome(said)) for said in ("held", "consumed", "refused", "released", "mismatch", "unknown", "else")
    }
    assert events.pop("held") is events.pop("consumed") is Event.RESERVED
    assert events.pop("refused") is Event.REFUSED
    assert set(events.values()) == {None}
    assert _event_of(None) is None


@pytest.mark.proves("G20")
def test_every_reason_that_the_catalog_can_give_is_a_refusal_with_words() -> None:
    source = (SERVICES / "catalog" / "reservations" / "domain.py").read_text()
    codes = set(re.findall(r'Reason\("([a-z-]+)"', source))
    assert codes >= {
        "offer-changed",
        "out-of-stock",
        "quota-exhausted",
        "budget-exhausted",
        "campaign-not-open",
        "offer-not-open",
    }
    assert codes | {"catalog-unavailable"} == set(REFUSALS) == set(REASONS)
    for code, error in REFUSALS.items():
        problem = CATALOGUE.type_of(error())
        assert problem is not None and problem.code == code and problem.status == 409


@pytest.mark.proves("R8")
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_event_and_reason_has_words_in_each_language(language: Any) -> None:
    assert set(STATES) == {state.value for state in State}
    assert all(state_in_words(state.value, language) for state in State)
    entries = {state.value for state in State} - {"delivering", "returned"}  # these two are told by their parts
    parts = {f"{way.value}_{state.value}" for way in Way for state in STATES_OF[way]}
    assert set(EVENTS) == entries | parts | {"stopped", "too_late", *(kind.value for kind in Kind)} - {"cancellation"}
    for kind in EVENTS:
        words = event_in_words(kind, {"points": 1234, "reasons": ["out-of-stock"]}, language)
        assert "{" not in words and words
        assert ("1234" in words) is (kind in WITH_POINTS)
    for code in REASONS:
        assert REASONS[code][language].rstrip("。.") in event_in_words("declined", {"points": 1, "reasons": [code]}, language)


@pytest.mark.proves("R8")
def test_a_timeline_names_the_carrier_the_number_the_branch_and_the_last_day() -> None:
    facts = {
        "carrier": "Express", "tracking_number": "X-1", "branch": "B001", "ready_until": "2026-12-06",
        "branch_names": {"zh_hans": "静安支行", "zh_hant": "靜安分行", "en": "Jing'an branch"},
    }  # fmt: skip
    for language, branch, day in (
        ("zh_hans", "静安支行", "2026年12月6日"), ("zh_hant", "靜安分行", "2026年12月6日"),
        ("en", "Jing'an branch", "6 December 2026"),
    ):  # fmt: skip
        dispatched = event_in_words("courier_dispatched", facts, language)  # type: ignore[arg-type]
        assert "Express" in dispatched and "X-1" in dispatched
        ready = event_in_words("pickup_ready", facts, language)  # type: ignore[arg-type]
        assert branch in ready and day in ready
        asked = event_in_words("cancelling", {"reason": "{changed} my mind"}, language)  # type: ignore[arg-type]
        assert "{changed} my mind" in asked


@pytest.mark.proves("C4")
def test_limits_are_counted_over_all_lines_and_a_refusal_takes_nothing() -> None:
    limited = offer(per_customer=3, per_day=2)
    everyday, ever = f"offer:{limited.id}:2026-03-31", f"offer:{limited.id}"
    taken = {ever: 1}
    assert take_limits([Line(1, limited, 1), Line(2, limited, 1)], TODAY, taken) == {ever: 2, everyday: 2}
    assert taken == {ever: 3, everyday: 2}
    with pytest.raises(LimitReached) as refused:
        take_limits([Line(1, limited, 1)], TODAY, taken)
    assert refused.value.facts == {"line": 1, "limit": 3, "left": 0}
    assert taken == {ever: 3, everyday: 2}


@pytest.mark.proves("C4")
def test_the_next_day_has_a_limit_of_its_own() -> None:
    limited = offer(per_day=1)
    taken: dict[str, int] = {}
    take_limits([Line(1, limited, 1)], TODAY, taken)
    with pytest.raises(LimitReached):
        take_limits([Line(1, limited, 1)], TODAY, taken)
    take_limits([Line(1, limited, 1)], date(2026, 4, 1), taken)
    assert sorted(taken.values()) == [1, 1]
    assert [limit.key for limit in limits_of(offer(), TODAY)] == []


@pytest.mark.proves("C4")
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=12),
    st.dictionaries(st.integers(1, 3), st.tuples(st.none() | st.integers(1, 8), st.none() | st.integers(1, 8)), min_size=3),
)
def test_no_counter_ever_passes_its_limit(
    wishes: list[tuple[int, int]], terms: dict[int, tuple[int | None, int | None]]
) -> None:
    offers = {number: offer(number, per_customer=c, per_day=d) for number, (c, d) in terms.items()}
    taken: dict[str, int] = {}
    for number, quantity in wishes:
        lines = [Line(1, offers[number], quantity), Line(2, offers[1], 1)]
        before = dict(taken)
        wanted: dict[str, int] = {}
        for line in lines:
            for limit in limits_of(line.offer, TODAY):
                wanted[limit.key] = wanted.get(limit.key, 0) + line.quantity
        fits = all(
            taken.get(limit.key, 0) + wanted[limit.key] <= limit.most
            for line in lines
            for limit in limits_of(line.offer, TODAY)
        )
        if fits:
            assert take_limits(lines, TODAY, taken) == wanted
            assert taken == {key: before.get(key, 0) + wanted.get(key, 0) for key in before.keys() | wanted.keys()}
        else:
            with pytest.raises(LimitReached):
                take_limits(lines, TODAY, taken)
            assert taken == before
