"""Points: an account's book of lots, and what may be done with it.

A book is read under the account's lock, changed here in plain Python in the order in which commands came, and written back
once. Points are whole numbers. A lot is good through the last second of its `expires_on`, a day in the bank's time zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from shared.errors import DomainError
from shared.ids import new_id

POINTS_MAX = 10**12


class AccountState(StrEnum):
    """What an account may do (P6)."""

    ACTIVE = "active"
    NO_EARN = "no_earn"
    NO_REDEEM = "no_redeem"
    FROZEN = "frozen"
    CLOSED = "closed"


MAY_EARN = frozenset({AccountState.ACTIVE, AccountState.NO_REDEEM})
MAY_REDEEM = frozenset({AccountState.ACTIVE, AccountState.NO_EARN})


class House(StrEnum):
    """The bank's side of a posting."""

    OPENING = "opening"
    ISSUED = "issued"
    REDEEMED = "redeemed"
    EXPIRED = "expired"

    @property
    def account_id(self) -> UUID:
        """The fixed id under which postings name this account."""
        return uuid5(NAMESPACE_URL, f"urn:huangou:house:{self.value}")


class InsufficientPoints(DomainError):
    """The points at hand do not suffice."""


class AccountMayNotRedeem(DomainError):
    """The account is not allowed to redeem at present."""


class AccountMayNotEarn(DomainError):
    """The account is not allowed to earn at present."""


class AccountClosed(DomainError):
    """A closed account stays closed."""


class RefundExceedsSpent(DomainError):
    """More would be given back than was spent."""


def state_in_force(state: AccountState, until: datetime | None, now: datetime) -> AccountState:
    """The state that counts at an instant: one that was set until a moment is over then, but closed is closed."""
    over = until is not None and until <= now and state is not AccountState.CLOSED
    return AccountState.ACTIVE if over else state


@dataclass(slots=True)
class Lot:
    """Points that came together and expire together."""

    id: UUID
    expires_on: date
    earned_at: datetime
    source: str
    source_ref: str
    original: int
    remaining: int
    held: int = 0
    is_new: bool = False
    is_changed: bool = False

    @property
    def free(self) -> int:
        """What is neither used nor held."""
        return self.remaining - self.held


@dataclass(frozen=True, slots=True)
class Hold:
    """Points of one lot kept for one redemption."""

    redemption_id: UUID
    lot_id: UUID
    account_id: UUID
    points: int


@dataclass(slots=True)
class Spent:
    """Points of one lot that one redemption spent, and how many of them were given back."""

    redemption_id: UUID
    lot_id: UUID
    account_id: UUID
    points: int
    refunded: int

    @property
    def left(self) -> int:
        """What can still be given back."""
        return self.points - self.refunded


@dataclass(frozen=True, slots=True)
class Refund:
    """So many points go back for a reason that has a document: its id is kept in the postings."""

    return_id: UUID
    points: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One movement between two accounts; never changed, only followed by another that corrects it."""

    account_id: UUID
    number: int
    at: datetime
    kind: str
    debit_account: UUID
    credit_account: UUID
    points: int
    lot_id: UUID
    redemption_id: UUID | None
    reason: str
    balance_after: int


@dataclass(frozen=True, slots=True)
class _Grace:
    """Until when points of an expired lot are good again, and on whose account."""

    until: date
    reference: str
    reason: str


def _place(lot: Lot) -> tuple[date, datetime, UUID]:
    """The order in which lots are used: oldest expiry first, then oldest earned (P1, G6)."""
    return lot.expires_on, lot.earned_at, lot.id


@dataclass(slots=True)
class Book:
    """One account with its open lots, while its row is locked."""

    account_id: UUID
    customer_id: UUID
    state: AccountState
    state_until: datetime | None
    posted: int
    held: int
    postings_count: int
    last_posting_at: datetime | None
    lots: list[Lot]
    new_postings: list[Posting] = field(default_factory=list)
    is_changed: bool = False

    def state_at(self, now: datetime) -> AccountState:
        """The state in force: one that was set until a moment ends by itself, a closed account never opens."""
        return state_in_force(self.state, self.state_until, now)

    def available(self, today: date) -> int:
        """What can be redeemed today: neither held nor expired."""
        return sum(lot.free for lot in self.lots if lot.expires_on >= today)

    def hold(self, redemption_id: UUID, points: int, now: datetime, today: date) -> list[Hold]:
        """Keep points for a redemption, oldest expiry first, then oldest earned (P1, G6).

        Raises AccountMayNotRedeem or InsufficientPoints, and then nothing has changed.
        """
        if self.state_at(now) not in MAY_REDEEM:
            raise AccountMayNotRedeem(state=self.state_at(now).value)
        available = self.available(today)
        if points > available:
            raise InsufficientPoints(required=points, available=available, missing=points - available)
        held: list[Hold] = []
        left = points
        for lot in sorted(self.lots, key=_place):
            taken = min(left, lot.free) if lot.expires_on >= today else 0
            if taken:
                lot.held += taken
                lot.is_changed = True
                held.append(Hold(redemption_id, lot.id, self.account_id, taken))
                left -= taken
            if not left:
                break
        self.held += points
        self.is_changed = True
        return held

    def post_holds(self, holds: Sequence[Hold], now: datetime) -> None:
        """The points of a redemption are spent (the pivot): one posting a lot."""
        for hold in holds:
            lot = self._take_back(hold)
            lot.remaining -= hold.points
            self._post("redeemed", -hold.points, House.REDEEMED, lot, now, hold.redemption_id, "")

    def release_holds(self, holds: Sequence[Hold], now: datetime, today: date, grace_days: int) -> None:
        """The points of a redemption are free again, in the lots that they came from (G6).

        A lot that expired meanwhile gives them to a grace lot, good for `grace_days` days after today.
        """
        for hold in holds:
            lot = self._take_back(hold)
            if lot.expires_on < today:
                grace = _Grace(today + timedelta(days=grace_days), str(hold.redemption_id), "released after its last day")
                self._give_grace(lot, hold.points, now, hold.redemption_id, grace)

    def refund(self, spent: Sequence[Spent], refund: Refund, now: datetime, today: date, grace_days: int) -> list[Spent]:
        """Give points of one redemption back to the lots that they came from, the one that was used last first (G6, R6).

        A lot that expired meanwhile hands them on to a grace lot, good for `grace_days` days after today. Whatever state the
        account is in: the points are the customer's. Answers what changed of `spent`. Raises RefundExceedsSpent, and then
        nothing has changed (G7). The book must hold these lots, used up or not.
        """
        if not 0 < refund.points <= sum(one.left for one in spent):
            raise RefundExceedsSpent(points=refund.points, left=sum(one.left for one in spent))
        lots = {lot.id: lot for lot in self.lots}
        left, changed = refund.points, []
        for one in sorted(spent, key=lambda one: _place(lots[one.lot_id]), reverse=True):
            part = min(left, one.left)
            if part:
                one.refunded += part
                left -= part
                changed.append(one)
                self._put_back(lots[one.lot_id], one.redemption_id, replace(refund, points=part), now, today, grace_days)
        return changed

    def _put_back(self, lot: Lot, redemption_id: UUID, refund: Refund, now: datetime, today: date, grace_days: int) -> None:
        lot.remaining += refund.points
        self._post("refunded", refund.points, House.REDEEMED, lot, now, redemption_id, f"return {refund.return_id}")
        if lot.expires_on < today:
            reason = f"return {refund.return_id} after its last day"
            grace = _Grace(today + timedelta(days=grace_days), str(refund.return_id), reason)
            self._give_grace(lot, refund.points, now, redemption_id, grace)

    def earn(self, *, points: int, expires_on: date, source: str, source_ref: str, now: datetime) -> Lot:
        """A new lot. Raises AccountMayNotEarn; an opening balance is taken over whatever the state."""
        if source == "earned" and self.state_at(now) not in MAY_EARN:
            raise AccountMayNotEarn(state=self.state_at(now).value)
        lot = Lot(new_id(), expires_on, now, source, source_ref, points, points, is_new=True)
        self.lots.append(lot)
        house = House.OPENING if source == "opening" else House.ISSUED
        self._post(source, points, house, lot, now, None, source_ref)
        return lot

    def expire(self, now: datetime, today: date) -> int:
        """Take what is left and not held of the lots whose last day is over. Answers how many points that was."""
        total = 0
        for lot in self.lots:
            gone = lot.free if lot.expires_on < today else 0
            if gone:
                lot.remaining -= gone
                self._post("expired", -gone, House.EXPIRED, lot, now, None, "")
                total += gone
        return total

    def _take_back(self, hold: Hold) -> Lot:
        lot = next(lot for lot in self.lots if lot.id == hold.lot_id)
        lot.held -= hold.points
        lot.is_changed = True
        self.held -= hold.points
        self.is_changed = True
        return lot

    def _give_grace(self, lot: Lot, points: int, now: datetime, redemption_id: UUID, grace: "_Grace") -> None:
        lot.remaining -= points
        self._post("expired", -points, House.EXPIRED, lot, now, redemption_id, grace.reason)
        new = Lot(new_id(), grace.until, now, "grace", f"{grace.reference}:{lot.id}", points, points, is_new=True)
        self.lots.append(new)
        self._post("grace", points, House.EXPIRED, new, now, redemption_id, grace.reason)

    def _post(
        self, kind: str, change: int, house: House, lot: Lot, now: datetime, redemption_id: UUID | None, reason: str
    ) -> None:
        self.posted += change
        self.postings_count += 1
        # Time never runs backwards in a statement, whatever the clock of a promoted standby says.
        self.last_posting_at = max(now, self.last_posting_at or now)
        mine, theirs = self.account_id, house.account_id
        debit, credit = (theirs, mine) if change > 0 else (mine, theirs)
        self.new_postings.append(
            Posting(
                account_id=mine,
                number=self.postings_count,
                at=self.last_posting_at,
                kind=kind,
                debit_account=debit,
                credit_account=credit,
                points=abs(change),
                lot_id=lot.id,
                redemption_id=redemption_id,
                reason=reason,
                balance_after=self.posted,
            )
        )
        lot.is_changed = True
        self.is_changed = True
