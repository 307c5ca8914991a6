"""Points that go back: to the lots that they came from, exactly, and never more than were spent."""

import uuid
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.redemption.points.domain import AccountState, Book, Hold, Refund, RefundExceedsSpent, Spent
from tests.unit.redemption.points.test_book import GRACE_DAYS, NOON, TODAY, book_with

REDEMPTION = uuid.UUID(int=1)
LATER = TODAY + timedelta(days=40)


def spend(book: Book, points: int) -> list[Spent]:
    """Hold and post, as a redemption does."""
    holds = book.hold(REDEMPTION, points, NOON, TODAY)
    book.post_holds(holds, NOON)
    return spent_of(holds)


def spent_of(holds: list[Hold]) -> list[Spent]:
    return [Spent(hold.redemption_id, hold.lot_id, hold.account_id, hold.points, 0) for hold in holds]


def refund(points: int) -> Refund:
    return Refund(uuid.uuid4(), points)


def points_by_lot(book: Book, kind: str) -> dict[uuid.UUID, int]:
    found: dict[uuid.UUID, int] = {}
    for posting in book.new_postings:
        if posting.kind == kind:
            found[posting.lot_id] = found.get(posting.lot_id, 0) + posting.points
    return found


@pytest.mark.proves("G6", "P2")
def test_points_go_back_to_their_lots_the_one_that_was_used_last_first() -> None:
    book = book_with((100, TODAY), (100, LATER))
    spent = spend(book, 150)
    assert [lot.remaining for lot in book.lots] == [0, 50]
    changed = book.refund(spent, refund(80), NOON, TODAY, GRACE_DAYS)
    assert [lot.remaining for lot in book.lots] == [30, 100]
    assert {one.lot_id: one.refunded for one in changed} == {book.lots[0].id: 30, book.lots[1].id: 50}
    book.refund(spent, refund(70), NOON, TODAY, GRACE_DAYS)
    assert [lot.remaining for lot in book.lots] == [100, 100]
    assert book.posted == 200 == book.available(TODAY)
    assert points_by_lot(book, "refunded") == points_by_lot(book, "redeemed")


@pytest.mark.proves("G6", "P2")
def test_a_lot_that_expired_meanwhile_hands_them_on_to_a_grace_lot() -> None:
    book = book_with((100, TODAY), (100, LATER))
    spent = spend(book, 130)
    day = TODAY + timedelta(days=5)
    document = refund(130)
    book.refund(spent, document, NOON + timedelta(days=5), day, GRACE_DAYS)
    assert [(lot.source, lot.remaining) for lot in book.lots] == [("opening", 0), ("opening", 100), ("grace", 100)]
    assert book.lots[-1].expires_on == day + timedelta(days=GRACE_DAYS)
    assert (book.posted, book.available(day)) == (200, 200)
    assert points_by_lot(book, "refunded") == points_by_lot(book, "redeemed"), "refunded to the original lots all the same"
    assert str(document.return_id) in book.new_postings[-1].reason
    assert book.expire(NOON, day) == 0


@pytest.mark.proves("G7")
def test_more_than_was_spent_is_refused_and_changes_nothing() -> None:
    book = book_with((100, TODAY))
    spent = spend(book, 60)
    book.refund(spent, refund(50), NOON, TODAY, GRACE_DAYS)
    before = (book.posted, book.postings_count, [lot.remaining for lot in book.lots], [one.refunded for one in spent])
    for points in (11, 0, -1):
        with pytest.raises(RefundExceedsSpent) as refused:
            book.refund(spent, refund(points), NOON, TODAY, GRACE_DAYS)
        assert refused.value.facts == {"points": points, "left": 10}
    assert before == (book.posted, book.postings_count, [lot.remaining for lot in book.lots], [one.refunded for one in spent])


@pytest.mark.proves("P6", "P2")
@pytest.mark.parametrize("state", list(AccountState))
def test_points_go_back_whatever_state_the_account_is_in(state: AccountState) -> None:
    book = book_with((100, TODAY))
    spent = spend(book, 60)
    book.state = state
    book.refund(spent, refund(60), NOON, TODAY, GRACE_DAYS)
    assert book.posted == 100


Lots = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 60)), min_size=1, max_size=5)
Lines = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=6)


@pytest.mark.proves("G1", "G6", "G7", "P2", "P4")
@given(lots=Lots, lines=Lines, data=st.data())
def test_any_sequence_of_partial_refunds_adds_up_exactly(
    lots: list[tuple[int, int]], lines: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Lines of (points a piece, quantity); units come back one document after the other, days apart, other spending between."""
    book = book_with(*((points, TODAY + timedelta(days=days)) for points, days in lots))
    price = sum(unit * quantity for unit, quantity in lines)
    available = book.available(TODAY)
    if price > available:
        book.earn(points=price - available, expires_on=LATER, source="opening", source_ref="more", now=NOON)
    before = {lot.id: lot.remaining for lot in book.lots}
    start = book.posted
    spent = spend(book, price)
    left = dict(enumerate(quantity for _, quantity in lines))
    given_back, day, now = 0, TODAY, NOON
    while any(left.values()):
        days = data.draw(st.integers(0, 30))
        day, now = day + timedelta(days=days), now + timedelta(days=days)
        number = data.draw(st.sampled_from([n for n, quantity in left.items() if quantity]))
        quantity = data.draw(st.integers(1, left[number]))
        left[number] -= quantity
        points = lines[number][0] * quantity
        book.refund(spent, refund(points), now, day, GRACE_DAYS)
        given_back += points
        assert sum(one.refunded for one in spent) == given_back <= price
        assert all(0 <= one.refunded <= one.points for one in spent)
        assert book.posted == start - price + given_back == sum(lot.remaining for lot in book.lots)
        assert all(0 <= lot.remaining <= lot.original for lot in book.lots)
        with pytest.raises(RefundExceedsSpent):
            book.refund(spent, refund(price - given_back + 1), now, day, GRACE_DAYS)
    assert points_by_lot(book, "refunded") == points_by_lot(book, "redeemed") == {one.lot_id: one.points for one in spent}
    for lot in book.lots:
        if lot.id in before and lot.expires_on >= day:
            assert lot.remaining == before[lot.id], "a lot that is still good has what it had"
    balance = 0
    for posting in book.new_postings:
        balance += posting.points if posting.credit_account == book.account_id else -posting.points
        assert posting.balance_after == balance >= 0
