"""What a fulfillment is, and what is answered when the same one is asked for again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.fulfillment.parcels.domain import Standing
from services.fulfillment.vouchers.domain import Owner, Promise
from shared.audit import Actor

LINES_MAX = 10
QUANTITY_MAX = 100
ITEMS_MAX = 64
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
class Wish:
    """What redemption asks for, under the redemption's own id."""

    id: UUID
    fingerprint: bytes
    """SHA-256 of what was asked: another body under the same id is a mismatch."""
    customer_id: UUID
    owner: Owner
    campaign: str
    lines: tuple[Line, ...]
    actor: Actor

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one item."""

    id: UUID
    answer: Answer
    state: FulfillmentState
    version: int


@dataclass(frozen=True, slots=True)
class LineCount:
    """How many vouchers a line asked for, and how many there are."""

    number: int
    quantity: int
    vouchers: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A fulfillment as whoever compares books sees it."""

    id: UUID
    state: FulfillmentState
    changed_at: datetime
    lines: Sequence[LineCount]


def answer_to(wish: Wish, header: Header) -> Outcome:
    """The answer to a wish whose header stands: the same as the first time, unless something else is asked for."""
    if header.state is FulfillmentState.CANCELLED:
        answer = Answer.CANCELLED
    elif header.fingerprint != wish.fingerprint:
        answer = Answer.MISMATCH
    else:
        answer = Answer.ACCEPTED
    return Outcome(wish.id, answer, header.state, header.version)


def portions(wishes: Sequence[Wish]) -> list[list[Wish]]:
    """The wishes in their order, in portions of at most 2,000 vouchers; one wish is never split."""
    found: list[list[Wish]] = []
    room = 0
    for wish in wishes:
        if wish.vouchers > room:
            found.append([])
            room = VOUCHERS_AT_ONCE_MAX
        found[-1].append(wish)
        room -= wish.vouchers
    return found
