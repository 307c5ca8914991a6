"""A break: something in the books that cannot be, and whose it is to mend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """What is wrong (`kind`), with what (`subject`), in which service's books, and how it shows."""

    service: str
    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class KnownBreak(Break):
    """A break with its story: whose it is, since when it is known, and until when it was there (None: it still is)."""

    id: UUID
    owner: str
    first_seen_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None


TEAMS: Mapping[str, tuple[str, ...]] = {
    # Rows that the application cannot change were changed: somebody wrote past it.
    "security": (
        "posting-edited",
        "posting-chain-broken",
        "timeline-with-a-gap",
        "fulfillment-without-redemption",
        "redrive-without-two-people",
    ),
    "points": ("account-drifted", "lot-drifted", "account-and-lots-differ", "lot-and-holds-differ", "limit-drifted"),
    "redemptions": (
        "redemption-and-points-differ",
        "redemption-and-lines-differ",
        "redemption-without-task",
        "refunds-differ",
        "returned-too-much",
        "return-without-lines",
        "cancellation-undecided",
        "goods-without-delivery",
        "redemption-without-fulfillment",
        "redemption-and-fulfillment-differ",
        "delivery-unheard",
    ),
    "stock": (
        "batch-movements",
        "batch-draws",
        "draw-movements",
        "line-draws",
        "header-lines",
        "line-returns",
        "line-draw-returns",
        "draw-returns",
        "quota",
        "budget",
        "redemption-without-reservation",
        "reservation-without-redemption",
        "reservation-not-consumed",
        "reservation-not-released",
        "returns-differ",
    ),
    "vouchers": (
        "voucher-used-twice",
        "voucher-used-without-use",
        "use-of-unused-voucher",
        "use-undecided",
        "use-by-foreign-merchant",
        "fulfillment-vouchers",
        "fulfillment-without-lines",
    ),
    "parcels": (
        "fulfillment-goods",
        "fulfillment-and-parcels-differ",
        "fulfillment-unreported",
        "parcel-without-lines",
        "parcel-timeline-with-a-gap",
        "parcel-cancelled-and-sent",
        "parcel-ready-without-code",
        "parcel-at-unknown-branch",
        "parcel-without-dispatch",
        "parcel-not-arrived",
        "parcel-not-booked",
        "parcel-not-followed",
        "carrier-contradicts",
        "carrier-event-unheard",
        "notice-unsent",
    ),
}
OWNERS = {kind: team for team, kinds in TEAMS.items() for kind in kinds}
"""Which team mends each kind of break."""
NOBODYS = "operations"
"""A neighbour that is one release ahead may name a kind that this one does not know."""


def owner_of(kind: str) -> str:
    """The team that mends a kind of break."""
    return OWNERS.get(kind, NOBODYS)


def lasting(first: Iterable[Break], second: Iterable[Break]) -> list[Break]:
    """Live books are read without a common snapshot: a difference counts when it still stands a while later."""
    stood = {(b.service, b.kind, b.subject) for b in first}
    return sorted(b for b in second if (b.service, b.kind, b.subject) in stood)
