"""The book of an account against a model that is nothing but integers."""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.redemption.points.domain import (
    MAY_EARN,
    MAY_REDEEM,
    AccountMayNotEarn,
    AccountMayNotRedeem,
    AccountState,
    Book,
    Hold,
    House,
    InsufficientPoints,
)
from shared.clock import bank_day

NOON = datetime(2026, 2, 28, 4, tzinfo=UTC)
TODAY = date(2026, 2, 28)
GRACE_DAYS = 30


def empty_book(**given_values: Any) -> Book:
    usual: dict[str, Any] = {
        "account_id": uuid.uuid4(), "customer_id": uuid.uuid4(), "state": AccountState.ACTIVE, "state_until": None, "posted": 0,
        "held": 0, "postings_count": 0, "last_posting_at": None, "lots": [],
    }  # fmt: skip
    return Book(**{**usual, **given_values})


def book_with(*lots: tuple[int, date], **given_values: Any) -> Book:
    """A book of opening lots (points, last day)."""
    book = empty_book(**given_values)
    for number, (points, expires_on) in enumerate(lots):
        earned_at = NOON - timedelta(days=300 - number)
        book.earn(points=points, expires_on=expires_on, source="opening", source_ref=f"L{number}", now=earned_at)
    return book


class BookAndModel(RuleBasedStateMachine):
    """Random commands in random order; after each the book must say what plain arithmetic says."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.book = empty_book()
        self.lots: list[list[Any]] = []
        """[last day, order, left, held] of each lot, in the order in which they came."""
        self.holds: dict[uuid.UUID, tuple[list[Hold], dict[int, int]]] = {}
        self.redeemed = 0
        self.outside = 0
        """What came into the account minus what left it."""

    @property
    def today(self) -> date:
        return bank_day(self.now, ZoneInfo("Asia/Shanghai"))

    @rule(days=st.integers(0, 20), hours=st.integers(0, 23))
    def time_passes(self, days: int, hours: int) -> None:
        self.now += timedelta(days=days, hours=hours)

    @rule(points=st.integers(1, 1000), days=st.integers(0, 60), source=st.sampled_from(["earned", "opening"]))
    def earn(self, points: int, days: int, source: str) -> None:
        expires_on = self.today + timedelta(days=days)
        self.book.earn(points=points, expires_on=expires_on, source=source, source_ref=str(len(self.lots)), now=self.now)
        self.lots.append([expires_on, len(self.lots), points, 0])
        self.outside += points

    @rule(points=st.integers(1, 2500))
    def hold(self, points: int) -> None:
        self.redeemed += 1  # no chance of its own: Hypothesis must be able to play a run again
        redemption = uuid.UUID(int=self.redeemed)
        usable = sorted(lot for lot in self.lots if lot[0] >= self.today)
        available = sum(lot[2] - lot[3] for lot in usable)
        before = [(lot.remaining, lot.held) for lot in self.book.lots]
        if points > available:
            with pytest.raises(InsufficientPoints) as refused:
                self.book.hold(redemption, points, self.now, self.today)
            assert refused.value.facts == {"required": points, "available": available, "missing": points - available}
            assert [(lot.remaining, lot.held) for lot in self.book.lots] == before
            return
        holds = self.book.hold(redemption, points, self.now, self.today)
        taken: dict[int, int] = {}
        left = points
        for lot in usable:
            part = min(left, lot[2] - lot[3])
            if part:
                lot[3] += part
                taken[lot[1]] = part
                left -= part
        self.holds[redemption] = (holds, taken)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        redemption = data.draw(st.sampled_from(sorted(self.holds)))
        holds, taken = self.holds.pop(redemption)
        self.book.post_holds(holds, self.now)
        for order, part in taken.items():
            self.lots[order][2] -= part
            self.lots[order][3] -= part
            self.outside -= part

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        redemption = data.draw(st.sampled_from(sorted(self.holds)))
        holds, taken = self.holds.pop(redemption)
        self.book.release_holds(holds, self.now, self.today, GRACE_DAYS)
        for order, part in taken.items():
            self.lots[order][3] -= part
            if self.lots[order][0] < self.today:
                self.lots[order][2] -= part
                self.lots.append([self.today + timedelta(days=GRACE_DAYS), len(self.lots), part, 0])

    @rule()
    def expire(self) -> None:
        gone = 0
        for lot in self.lots:
            if lot[0] < self.today:
                gone += lot[2] - lot[3]
                lot[2] = lot[3]
        assert self.book.expire(self.now, self.today) == gone
        assert self.book.expire(self.now, self.today) == 0, "a second run finds nothing"
        self.outside -= gone

    @invariant()
    def agrees(self) -> None:
        assert [[lot.expires_on, lot.remaining, lot.held] for lot in self.book.lots] == [
            [lot[0], lot[2], lot[3]] for lot in self.lots
        ]
        assert self.book.posted == self.outside == sum(lot[2] for lot in self.lots)
        assert (
            self.book.held
            == sum(lot[3] for lot in self.lots)
            == sum(h.points for holds, _ in self.holds.values() for h in holds)
        )
        assert 0 <= self.book.held <= self.book.posted
        assert self.book.available(self.today) == sum(lot[2] - lot[3] for lot in self.lots if lot[0] >= self.today)

    @invariant()
    def postings_explain_everything(self) -> None:
        balance = 0
        by_lot: dict[uuid.UUID, int] = {}
        for number, posting in enumerate(self.book.new_postings, start=1):
            change = posting.points if posting.credit_account == self.book.account_id else -posting.points
            balance += change
            by_lot[posting.lot_id] = by_lot.get(posting.lot_id, 0) + change
            assert posting.points > 0
            assert posting.number == number
            assert posting.balance_after == balance >= 0
            assert {posting.debit_account, posting.credit_account} - {house.account_id for house in House} == {
                self.book.account_id
            }
        assert balance == self.book.posted
        assert by_lot == {lot.id: lot.remaining for lot in self.book.lots}
        instants = [posting.at for posting in self.book.new_postings]
        assert instants == sorted(instants)


@pytest.mark.proves("G1", "G3", "G6", "P1", "P2", "P4")
class TestBookAgainstModel(BookAndModel.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@pytest.mark.proves("G6", "P1")
def test_points_are_taken_from_the_lot_that_expires_first_then_from_the_one_earned_first() -> None:
    book = book_with((100, date(2026, 12, 31)), (100, date(2026, 6, 30)), (100, date(2026, 6, 30)))
    holds = book.hold(uuid.uuid4(), 250, NOON, TODAY)
    assert [(hold.lot_id, hold.points) for hold in holds] == [
        (book.lots[1].id, 100), (book.lots[2].id, 100), (book.lots[0].id, 50)
    ]  # fmt: skip


@pytest.mark.proves("G6", "P1")
def test_a_lot_is_good_through_its_last_day_and_no_longer() -> None:
    book = book_with((100, TODAY))
    assert book.available(TODAY) == 100
    assert book.expire(NOON, TODAY) == 0
    assert book.available(TODAY + timedelta(days=1)) == 0
    with pytest.raises(InsufficientPoints):
        book.hold(uuid.uuid4(), 1, NOON, TODAY + timedelta(days=1))
    assert book.expire(NOON, TODAY + timedelta(days=1)) == 100


@pytest.mark.proves("G6")
@pytest.mark.parametrize(
    ("released_on", "good_until"),
    [
        (date(2026, 2, 28), date(2026, 3, 30)),
        (date(2028, 2, 28), date(2028, 3, 29)),  # a leap year
        (date(2026, 12, 31), date(2027, 1, 30)),
        (date(2026, 1, 31), date(2026, 3, 2)),
    ],
)
def test_released_points_of_an_expired_lot_get_a_grace_lot_across_the_end_of_a_month(
    released_on: date, good_until: date
) -> None:
    book = book_with((100, released_on - timedelta(days=1)))
    redemption = uuid.uuid4()
    holds = book.hold(redemption, 60, NOON, released_on - timedelta(days=1))
    assert book.expire(NOON, released_on) == 40, "what is held does not expire"
    book.release_holds(holds, NOON, released_on, GRACE_DAYS)
    grace = book.lots[-1]
    assert (grace.source, grace.remaining, grace.held, grace.expires_on) == ("grace", 60, 0, good_until)
    assert (book.posted, book.held, book.available(released_on)) == (60, 0, 60)
    assert [p.kind for p in book.new_postings] == ["opening", "expired", "expired", "grace"]
    assert book.expire(NOON, good_until) == 0
    assert book.expire(NOON, good_until + timedelta(days=1)) == 60


@pytest.mark.proves("G6")
def test_released_points_of_a_lot_that_is_still_good_go_back_into_it_without_a_posting() -> None:
    book = book_with((100, TODAY))
    holds = book.hold(uuid.uuid4(), 60, NOON, TODAY)
    book.release_holds(holds, NOON, TODAY, GRACE_DAYS)
    assert [(lot.remaining, lot.held) for lot in book.lots] == [(100, 0)]
    assert [p.kind for p in book.new_postings] == ["opening"]


@pytest.mark.proves("P6")
@pytest.mark.parametrize("state", list(AccountState))
def test_each_account_state_lets_exactly_what_it_should_happen(state: AccountState) -> None:
    may_earn = state in (AccountState.ACTIVE, AccountState.NO_REDEEM)
    may_redeem = state in (AccountState.ACTIVE, AccountState.NO_EARN)
    assert (state in MAY_EARN, state in MAY_REDEEM) == (may_earn, may_redeem)
    book = book_with((100, TODAY), state=state)  # an opening balance is taken over whatever the state
    if may_earn:
        book.earn(points=5, expires_on=TODAY, source="earned", source_ref="x", now=NOON)
    else:
        with pytest.raises(AccountMayNotEarn):
            book.earn(points=5, expires_on=TODAY, source="earned", source_ref="x", now=NOON)
    if may_redeem:
        assert book.hold(uuid.uuid4(), 100, NOON, TODAY)
    else:
        with pytest.raises(AccountMayNotRedeem) as refused:
            book.hold(uuid.uuid4(), 100, NOON, TODAY)
        assert refused.value.facts == {"state": state.value}
        assert book.held == 0


@pytest.mark.proves("P6")
def test_a_state_that_was_set_until_a_moment_ends_at_that_moment() -> None:
    book = book_with((100, TODAY), state=AccountState.FROZEN, state_until=NOON)
    assert book.state_at(NOON - timedelta(microseconds=1)) is AccountState.FROZEN
    assert book.state_at(NOON) is AccountState.ACTIVE


@pytest.mark.proves("P6")
def test_a_closed_account_does_not_open_by_itself() -> None:
    book = book_with((100, TODAY), state=AccountState.CLOSED, state_until=NOON)
    assert book.state_at(NOON + timedelta(days=1)) is AccountState.CLOSED


@pytest.mark.proves("P3")
@given(backwards=st.integers(0, 3600))
def test_a_clock_that_runs_backwards_does_not_disorder_a_statement(backwards: int) -> None:
    book = book_with((100, TODAY), (100, TODAY))
    book.earn(points=1, expires_on=TODAY, source="earned", source_ref="a", now=NOON)
    book.earn(points=1, expires_on=TODAY, source="earned", source_ref="b", now=NOON - timedelta(seconds=backwards))
    instants = [posting.at for posting in book.new_postings]
    assert instants == sorted(instants)


@pytest.mark.proves("G35")
def test_the_bank_s_day_begins_at_its_own_midnight() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    assert bank_day(datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), zone) == date(2026, 2, 28)
    assert bank_day(datetime(2026, 2, 28, 16, 0, 0, tzinfo=UTC), zone) == date(2026, 3, 1)
