"""What a fulfillment is, and what is answered when the same one is asked for again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.fulfillment.carriers.domain import Address
from services.fulfillment.notices.domain import Contact
from services.fulfillment.parcels.domain import Parcel, ParcelState, Part, Reward, Standing, Way
from services.fulfillment.vouchers.domain import Owner, Promise
from shared.audit import Actor

LINES_MAX = 10
QUANTITY_MAX = 100
ITEMS_MAX = 64
E_VOUCHER, GOODS = "e_voucher", "goods"
"""The kinds of a line."""
VOUCHERS_AT_ONCE_MAX = 2_000
"""Vouchers that one commit issues: more of them wait for the next one, so that no statement holds up the others."""


class FulfillmentState(StrEnum):
    """Where a fulfillment stands."""

    ISSUED = "issued"
    """E-vouchers alone: all were issued in the commit that accepted it."""
    UNDER_WAY = Standing.UNDER_WAY.value
    COMPLETED = Standing.COMPLETED.value
    RETURNED = Standing.RETURNED.value
    CANCELLED = Standing.CANCELLED.value


ARROWS: frozenset[tuple[FulfillmentState, FulfillmentState]] = frozenset(
    {
        (FulfillmentState.ISSUED, FulfillmentState.CANCELLED),
        (FulfillmentState.UNDER_WAY, FulfillmentState.COMPLETED),
        (FulfillmentState.UNDER_WAY, FulfillmentState.RETURNED),
        (FulfillmentState.UNDER_WAY, FulfillmentState.CANCELLED),
    }
)
"""Every change of state there is; the database refuses all others too. With parcels it follows from where they stand."""


class Answer(StrEnum):
    """How an item of the bulk call ended."""

    ACCEPTED = "accepted"
    MISMATCH = "mismatch"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a redemption: so many vouchers of one promise."""

    number: int
    quantity: int
    promise: Promise


@dataclass(frozen=True, slots=True)
class Delivery:
    """To whom and where the goods of a redemption go, as the customer chose it then."""

    way: Way
    contact: Contact
    branch: str | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What redemption asks for, under the redemption's own id."""

    id: UUID
    fingerprint: bytes
    """Of what was asked: another body under the same id is a mismatch."""
    customer_id: UUID
    owner: Owner
    campaign: str
    lines: tuple[Line, ...]
    """Of e-vouchers."""
    actor: Actor
    goods: tuple[Reward, ...] = ()
    delivery: Delivery | None = None
    """How the goods reach the customer; None where there are none."""

    @property
    def vouchers(self) -> int:
        """How many vouchers it asks for."""
        return sum(line.quantity for line in self.lines)


@dataclass(frozen=True, slots=True)
class Header:
    """What is kept of a fulfillment. A cancellation that came first leaves one without a fingerprint."""

    id: UUID
    state: FulfillmentState
    version: int
    fingerprint: bytes | None
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one item."""

    id: UUID
    answer: Answer
    state: FulfillmentState
    version: int
    parts: Sequence[Part] = ()


class Stopping(StrEnum):
    """How a cancellation ended."""

    CANCELLED = "cancelled"
    PARTLY = "partly"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer to one cancellation. No `lines` (None) means everything, whatever it would have been: it never came."""

    id: UUID
    outcome: Stopping
    lines: Sequence[int] | None
    version: int
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class LineCount:
    """What a line asked for, and how many vouchers there are for it."""

    number: int
    kind: str
    quantity: int
    vouchers: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A fulfillment as whoever compares books sees it."""

    id: UUID
    state: FulfillmentState
    version: int
    tombstone: bool
    """Its cancellation came before it: nobody knows of what."""
    changed_at: datetime
    lines: Sequence[LineCount]
    parts: Sequence[Part]


def answer_to(wish: Wish, header: Header, parcels: Sequence[Parcel] | None) -> Outcome:
    """The answer to a wish whose header stands: the same as the first time, unless something else is asked for.

    `parcels` are those of the fulfillment, None in the commit that accepts it. Of what is another wish, or never came, no
    parts are told.
    """
    if header.fingerprint is None or header.accepted_at is None:
        return Outcome(wish.id, Answer.CANCELLED, header.state, header.version)
    if header.fingerprint != wish.fingerprint:
        return Outcome(wish.id, Answer.MISMATCH, header.state, header.version)
    answer = Answer.CANCELLED if header.state is FulfillmentState.CANCELLED else Answer.ACCEPTED
    if parcels is None:
        return Outcome(wish.id, answer, header.state, header.version, first_parts(wish, header.accepted_at))
    goods = {parcel.id: [reward.line for reward in wish.goods] for parcel in parcels}
    parts = parts_of(header.accepted_at, [line.number for line in wish.lines], parcels, goods)
    return Outcome(wish.id, answer, header.state, header.version, parts)


def first_state(wish: Wish) -> FulfillmentState:
    """Where a fulfillment stands in the commit that accepts it."""
    return FulfillmentState.ISSUED if wish.delivery is None else FulfillmentState.UNDER_WAY


def first_parts(wish: Wish, now: datetime) -> list[Part]:
    """The parts of a fulfillment that was just accepted."""
    parts = _in_wallet([line.number for line in wish.lines], now)
    if wish.delivery is not None:
        lines = [reward.line for reward in wish.goods]
        parts.append(Part(wish.delivery.way, ParcelState.PREPARING.value, lines, now, branch=wish.delivery.branch))
    return parts


def parts_of(
    accepted_at: datetime, vouchers: Sequence[int], parcels: Sequence[Parcel], lines_in: Mapping[UUID, Sequence[int]]
) -> list[Part]:
    """The parts of a fulfillment: e-vouchers, issued when it was accepted, and each parcel with the lines in it."""
    return _in_wallet(vouchers, accepted_at) + [
        Part(
            way=parcel.way,
            state=parcel.state.value,
            lines=lines_in.get(parcel.id, ()),
            at=parcel.state_at,
            carrier=parcel.carrier,
            tracking_number=parcel.tracking_number,
            branch=parcel.branch,
            ready_until=parcel.ready_until,
        )
        for parcel in parcels
    ]


def _in_wallet(lines: Sequence[int], at: datetime) -> list[Part]:
    return [Part(Way.WALLET, FulfillmentState.ISSUED.value, lines, at)] if lines else []


def stopped(listed: Listed) -> Stopped:
    """What a cancellation came to, from how the fulfillment stands in the same transaction: alike however often it is asked."""
    if listed.tombstone:
        return Stopped(listed.id, Stopping.CANCELLED, None, listed.version, listed.parts)
    lines = sorted(n for part in listed.parts if part.state == ParcelState.CANCELLED for n in part.lines)
    outcome = Stopping.TOO_LATE if not lines else Stopping.CANCELLED if len(lines) == len(listed.lines) else Stopping.PARTLY
    return Stopped(listed.id, outcome, lines, listed.version, listed.parts)


def portions(wishes: Sequence[Wish]) -> list[list[Wish]]:
    """The wishes in their order, in portions of at most 2,000 vouchers; one wish is never split."""
    found: list[list[Wish]] = []
    room = 0
    for wish in wishes:
        if not found or wish.vouchers > room:
            found.append([])
            room = VOUCHERS_AT_ONCE_MAX
        found[-1].append(wish)
        room -= wish.vouchers
    return found
