"""Parcels: their arrows, what they come to together, and their words in three languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fulfillment.carriers.domain import EventKind
from services.fulfillment.parcels.domain import (
    ARROWS,
    COURIER_STATES,
    ENDED,
    ENDED_WELL,
    PICKUP_STATES,
    REFUSED,
    ParcelState,
    Standing,
    Way,
    masked_name,
    standing,
)
from services.fulfillment.parcels.pickup_codes import grouped, new_code, normalise
from services.fulfillment.parcels.words import STATE_WORDS, event_words
from shared.languages import LANGUAGES

STATES = {Way.COURIER: COURIER_STATES, Way.PICKUP: PICKUP_STATES}


@pytest.mark.proves("G18")
def test_no_arrow_leaves_an_end_and_nothing_is_cancelled_that_anybody_has() -> None:
    assert not [arrow for arrow in ARROWS if arrow[0] in ENDED]
    assert {before for before, after in ARROWS if after is ParcelState.CANCELLED} == {
        ParcelState.PREPARING,
        ParcelState.DISPATCHING,
    }


@pytest.mark.parametrize("way", STATES)
def test_every_state_of_a_way_is_reached_from_the_beginning_and_reaches_an_end(way: Way) -> None:
    reached, ends = {ParcelState.PREPARING}, set(ENDED)
    for _ in ParcelState:
        reached |= {after for before, after in ARROWS if before in reached and after in STATES[way]}
        ends |= {before for before, after in ARROWS if after in ends and after in STATES[way]}
    assert reached == set(STATES[way])
    assert reached <= ends


@given(st.lists(st.sampled_from(list(ParcelState)), min_size=1, max_size=3), st.booleans())
def test_what_parcels_come_to_together(states: list[ParcelState], vouchers: bool) -> None:
    found = standing(states, vouchers=vouchers)
    live = [state for state in states if state not in ENDED]
    assert (found is Standing.UNDER_WAY) == bool(live)
    if not live:
        reached = vouchers or bool(ENDED_WELL & set(states))
        assert (found is Standing.COMPLETED) == reached
        assert (found is Standing.CANCELLED) == (not reached and set(states) == {ParcelState.CANCELLED})


@pytest.mark.proves("R8")
@pytest.mark.parametrize("way", STATES)
def test_every_state_and_event_is_said_in_three_languages(way: Way) -> None:
    said = [STATE_WORDS[way, state] for state in STATES[way]]
    said += [event_words(way, state.value) for state in STATES[way]] + [event_words(way, REFUSED)]
    if way is Way.COURIER:
        said += [event_words(way, kind.value) for kind in EventKind]
    for text in said:
        assert set(text) == set(LANGUAGES)
        assert all(words.strip() for words in text.values())


@given(st.text(max_size=20))
def test_of_a_name_no_more_than_its_beginning_is_told(name: str) -> None:
    masked = masked_name(name)
    assert masked == "" if not name.strip() else masked == name.strip()[0] + "**"


def test_codes_are_eight_digits_and_read_however_they_are_typed() -> None:
    codes = [new_code() for _ in range(1_000)]
    assert all(len(code) == 8 and code.isdecimal() and code.isascii() for code in codes)
    assert len(set(codes)) > 990
    assert {normalise(typed) for typed in ("1234 5678", "1234-5678", "１２３４５６７８", grouped("12345678"))} == {"12345678"}
