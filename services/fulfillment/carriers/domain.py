"""What is asked of a carrier, and what a carrier says of a parcel."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class EventKind(StrEnum):
    """What happened to a parcel, in the carrier's words."""

    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    RETURNED = "returned"
    LOST = "lost"


GIVES_BACK = frozenset({EventKind.RETURNED, EventKind.LOST})
"""After these a customer's points go back: a message alone does not decide them, the carrier is asked."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who takes a parcel in. None of it prints."""

    name: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parcel goes. None of it prints."""

    province: str = field(repr=False)
    city: str = field(repr=False)
    district: str = field(repr=False)
    street: str = field(repr=False)
    postcode: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """So many of one thing in a parcel."""

    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Booking:
    """What a carrier must know to fetch and bring one parcel."""

    recipient: Recipient
    address: Address
    contents: Sequence[Content]


@dataclass(frozen=True, slots=True)
class Booked:
    """The carrier's answer to a booking, the same however often it is asked."""

    reference: str
    """Ours: the parcel's id."""
    tracking_number: str
    carrier: str


@dataclass(frozen=True, slots=True)
class CarrierEvent:
    """One thing that a carrier says of one parcel. `id` is the carrier's own, told apart by it for ever.

    `sequence` rises with each event of a parcel: it decides, and not the order in which events reach us (G34).
    """

    carrier: str
    id: str
    tracking_number: str
    reference: str
    sequence: int
    kind: EventKind
    at: datetime
    place: str
    confirmed: bool = False
    """Whether the carrier said it when it was asked, and not only in a message that bears its signature."""

    @property
    def in_doubt(self) -> bool:
        """Whether it decides only once the carrier, asked, says the same."""
        return self.kind in GIVES_BACK and not self.confirmed

    @property
    def key(self) -> "EventKey":
        """What tells it from every other event."""
        return self.carrier, self.id


EventKey = tuple[str, str]
"""A carrier's code, and the carrier's id of an event."""
TrackingKey = tuple[str, str]
"""A carrier's code, and its tracking number."""


class Taken(StrEnum):
    """What became of an event that was sent."""

    APPLIED = "applied"
    KEPT = "kept"
    """No parcel is known under its tracking number yet, or the carrier is asked first; it is applied after that."""
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of events of which parcels were to hear."""

    done: Collection[EventKey]
    """Their parcels have heard of them."""
    doubted: Mapping[EventKey, UUID]
    """Those in doubt, with their parcels, which are known: nothing was done."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A booking as the carrier has it now, with all that it says of the parcel."""

    booked: Booked
    events: Sequence[CarrierEvent]
