"""What a parcel is: its states and arrows, what its timeline says, and what all parcels of a redemption come to (F1, F2)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.fulfillment.vouchers.domain import Owner
from shared.audit import Actor
from shared.errors import DomainError
from shared.languages import Text


class Way(StrEnum):
    """How a part of a redemption reaches the customer."""

    WALLET = "wallet"
    COURIER = "courier"
    PICKUP = "pickup"


class ParcelState(StrEnum):
    """Where a parcel stands."""

    PREPARING = "preparing"
    DISPATCHING = "dispatching"
    DISPATCHED = "dispatched"
    FAILED = "failed"
    DELIVERED = "delivered"
    LOST = "lost"
    IN_TRANSFER = "in_transfer"
    READY = "ready"
    COLLECTED = "collected"
    RETURNED = "returned"
    CANCELLED = "cancelled"


S = ParcelState
COURIER_STATES = (S.PREPARING, S.DISPATCHING, S.DISPATCHED, S.FAILED, S.DELIVERED, S.RETURNED, S.LOST, S.CANCELLED)
PICKUP_STATES = (S.PREPARING, S.IN_TRANSFER, S.READY, S.COLLECTED, S.RETURNED, S.LOST, S.CANCELLED)
ENDED_WELL = frozenset({S.DELIVERED, S.COLLECTED})
ENDED = ENDED_WELL | {S.RETURNED, S.LOST, S.CANCELLED}
WITH_CARRIER = frozenset({S.DISPATCHED, S.FAILED})
"""With the carrier, and not at their end."""
OURS = frozenset({S.IN_TRANSFER, S.READY})
"""In the bank's own hands, and not at their end."""

ARROWS: frozenset[tuple[ParcelState, ParcelState]] = frozenset(
    {
        (S.PREPARING, S.CANCELLED),
        (S.PREPARING, S.DISPATCHING),  # too late to cancel from here
        (S.DISPATCHING, S.DISPATCHED),
        (S.DISPATCHING, S.CANCELLED),  # the carrier does not take it, and knows nothing of it
        (S.DISPATCHED, S.FAILED),
        (S.DISPATCHED, S.DELIVERED),
        (S.DISPATCHED, S.RETURNED),
        (S.DISPATCHED, S.LOST),
        (S.FAILED, S.DELIVERED),
        (S.FAILED, S.RETURNED),
        (S.FAILED, S.LOST),
        (S.PREPARING, S.IN_TRANSFER),  # too late to cancel from here
        (S.IN_TRANSFER, S.READY),
        (S.IN_TRANSFER, S.LOST),
        (S.READY, S.LOST),
        (S.READY, S.COLLECTED),
        (S.READY, S.RETURNED),
    }
)
"""Every change of state there is; the database refuses all others too."""
REFUSED = "refused"
"""What the timeline calls the end of a parcel that no carrier takes; its state is `cancelled`."""


class Standing(StrEnum):
    """Where all that a redemption hands out stands together."""

    UNDER_WAY = "under_way"
    COMPLETED = "completed"
    RETURNED = "returned"
    CANCELLED = "cancelled"


class UnknownArrow(Exception):
    """A change that is no arrow of a parcel: an error of ours, and nothing is written."""


class ArrivalNotExpected(DomainError):
    """The parcel is not on its way to the branch."""


class ParcelNotReady(DomainError):
    """The parcel does not lie ready at the branch."""


class ParcelNotOurs(DomainError):
    """The parcel is neither on its way to a branch nor does it lie there."""


class PickupCodeWrong(DomainError):
    """The pickup code is not this parcel's."""


class TooManyAttempts(DomainError):
    """Too many wrong codes were tried; wait a while."""


class PickupCodeNotShowable(DomainError):
    """The pickup code is shown only while the parcel lies ready at the branch."""


@dataclass(frozen=True, slots=True)
class Reward:
    """So many units of one reward in a parcel, by one line of the redemption."""

    line: int
    quantity: int
    code: str
    names: Text


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel as its row has it; contact, address and code stay sealed."""

    id: UUID
    fulfillment_id: UUID
    way: Way
    state: ParcelState
    version: int
    """The number of its last event."""
    customer_id: UUID
    owner: Owner
    contact_sealed: bytes = field(repr=False)
    address_sealed: bytes | None = field(repr=False)
    branch: str | None
    expected_on: date | None
    """For pickup: the day on which it should be ready, as it was reckoned when it was accepted."""
    carrier: str | None
    tracking_number: str | None
    carrier_sequence: int
    """Of the carrier's event that last decided its state; 0 before the first."""
    code_hmac: bytes | None = field(repr=False)
    code_sealed: bytes | None = field(repr=False)
    ready_until: date | None
    """The last day on which it can be collected, in the bank's time zone, to its end."""
    accepted_at: datetime
    state_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a parcel's timeline. `at` is when it happened, by the carrier's word where it comes from there."""

    number: int
    kind: str
    state: ParcelState
    at: datetime
    place: str | None
    sequence: int | None
    """The carrier's number; the events of a carrier are told in its order."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one parcel. `sets` are columns of its row that come with it; `facts` go to the timeline and the notice.

    A step of a carrier carries its `sequence`, and then `kind` is the carrier's word and `to` may be where the parcel is. One
    that `decides` leaves its sequence with the parcel: an older one decides nothing any more.
    """

    parcel_id: UUID
    to: ParcelState
    actor: Actor
    at: datetime | None = None
    """When it happened; the instant of the command where nobody says."""
    place: str | None = None
    kind: str | None = None
    sequence: int | None = None
    decides: bool = False
    sets: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a redemption hands out by one way, as redemption is told of it."""

    way: Way
    state: str
    lines: Sequence[int]
    at: datetime
    carrier: str | None = None
    tracking_number: str | None = None
    branch: str | None = None
    ready_until: date | None = None


def standing(states: Collection[ParcelState], *, vouchers: bool) -> Standing:
    """What the parcels of one redemption come to; `vouchers` says that it issued e-vouchers, too, which is a good end."""
    if not ENDED.issuperset(states):
        return Standing.UNDER_WAY
    if vouchers or any(state in ENDED_WELL for state in states):
        return Standing.COMPLETED
    if all(state is ParcelState.CANCELLED for state in states):
        return Standing.CANCELLED
    return Standing.RETURNED


def masked_name(name: str) -> str:
    """A name of which only the beginning is told."""
    stripped = name.strip()
    return stripped[:1] + "**" if stripped else ""
