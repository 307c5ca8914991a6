"""How wishes are answered and portioned."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fulfillment.fulfillments.domain import (
    VOUCHERS_AT_ONCE_MAX,
    Answer,
    FulfillmentState,
    Header,
    Line,
    Wish,
    answer_to,
    portions,
)
from services.fulfillment.vouchers.domain import Owner, Promise
from shared.audit import Actor

TEXT = {"zh_hans": "咖啡", "zh_hant": "咖啡", "en": "Coffee"}
PROMISE = Promise("R1", TEXT, TEXT, 5000, "CNY", 30, ("M001",))

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def wish_of(quantity: int = 1, fingerprint: bytes = b"a" * 32) -> Wish:
    lines = (Line(1, quantity, PROMISE),)
    return Wish(uuid.uuid4(), fingerprint, uuid.uuid4(), Owner("issuer", "subject"), "C1", lines, Actor("service:x", "app"))


@given(st.lists(st.integers(1, 1_000), max_size=64))
def test_portions_keep_order_lose_nothing_and_stay_small(quantities: list[int]) -> None:
    wishes = [wish_of(quantity) for quantity in quantities]
    found = portions(wishes)
    assert [wish for portion in found for wish in portion] == wishes
    assert all(portion and sum(wish.vouchers for wish in portion) <= VOUCHERS_AT_ONCE_MAX for portion in found)


@pytest.mark.proves("G10")
@pytest.mark.parametrize(
    ("state", "fingerprint", "answer"),
    [
        (FulfillmentState.ISSUED, b"a" * 32, Answer.ACCEPTED),
        (FulfillmentState.ISSUED, b"b" * 32, Answer.MISMATCH),
        (FulfillmentState.CANCELLED, b"a" * 32, Answer.CANCELLED),
        (FulfillmentState.CANCELLED, None, Answer.CANCELLED),
    ],
)
def test_a_known_id_is_answered_by_what_stands(state: FulfillmentState, fingerprint: bytes | None, answer: Answer) -> None:
    wish = wish_of()
    outcome = answer_to(wish, Header(wish.id, state, 1, fingerprint, NOW if fingerprint else None), [])
    assert (outcome.answer, outcome.state, outcome.version) == (answer, state, 1)
