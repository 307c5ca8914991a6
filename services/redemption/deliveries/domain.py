"""Deliveries: the ways in which rewards are handed out, and what fulfillment's reports of the parts mean for a redemption.

A part is what one redemption hands out by one way: e-vouchers to the wallet, goods by courier or at a branch. Fulfillment
decides what becomes of a part, in one row; here its words are only understood.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.redemption.offers.domain import Offer
from shared.errors import DomainError, FieldError
from shared.languages import Language, Text

GOODS = "goods"
PARTS_MAX = 10


class Way(StrEnum):
    """How something reaches the customer."""

    WALLET = "wallet"
    COURIER = "courier"
    PICKUP = "pickup"


class PartState(StrEnum):
    """How far a part is, in fulfillment's words."""

    ISSUED = "issued"
    PREPARING = "preparing"
    DISPATCHING = "dispatching"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    FAILED = "failed"
    IN_TRANSFER = "in_transfer"
    READY = "ready"
    COLLECTED = "collected"
    RETURNED = "returned"
    LOST = "lost"
    CANCELLED = "cancelled"


STATES_OF: Mapping[Way, frozenset[PartState]] = {
    Way.WALLET: frozenset({PartState.ISSUED, PartState.CANCELLED}),
    Way.COURIER: frozenset(
        {
            PartState.PREPARING,
            PartState.DISPATCHING,
            PartState.DISPATCHED,
            PartState.DELIVERED,
            PartState.FAILED,
            PartState.RETURNED,
            PartState.LOST,
            PartState.CANCELLED,
        }
    ),
    Way.PICKUP: frozenset(
        {
            PartState.PREPARING,
            PartState.IN_TRANSFER,
            PartState.READY,
            PartState.COLLECTED,
            PartState.RETURNED,
            PartState.LOST,
            PartState.CANCELLED,
        }
    ),
}
NOT_OUT_YET = frozenset({PartState.PREPARING, PartState.DISPATCHING, PartState.CANCELLED})
"""States of a part that is still, or for ever, where it was; in all others it went out."""


class Fate(StrEnum):
    """What becomes of a line."""

    UNDER_WAY = "under_way"
    WELL = "well"
    CANCELLATION = "cancellation"
    NOT_COLLECTED = "not_collected"
    CAME_BACK = "came_back"
    LOST = "lost"


GIVEN_BACK = frozenset({Fate.CANCELLATION, Fate.NOT_COLLECTED, Fate.CAME_BACK, Fate.LOST})
"""Fates for which points go back; each is a kind of return document too."""
_WELL = frozenset({PartState.ISSUED, PartState.DELIVERED, PartState.COLLECTED})


class DeliveryRequired(DomainError):
    """Goods need a way by which they reach the customer."""


class DeliveryNotNeeded(DomainError):
    """There is nothing here that is delivered."""


class DeliveryNotOffered(DomainError):
    """This reward is not delivered in that way."""


class AddressUnknown(DomainError):
    """There is no such address in the customer's book."""


class BranchUnknown(DomainError):
    """There is no such branch, or it is closed."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch at which parcels can be picked up."""

    code: str
    names: Text


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who receives a parcel; never in a log, a task or an audit row."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
    """In E.164."""
    language: Language


@dataclass(frozen=True, slots=True)
class Chosen:
    """The way that a customer chose, as it stood then: sealed under their key, bound to the redemption."""

    way: Way
    branch: Branch | None
    contact_sealed: bytes
    address_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Part:
    """What fulfillment says of one part. Days are the bank's."""

    way: Way
    state: PartState
    lines: tuple[int, ...]
    at: datetime
    carrier: str | None = None
    tracking_number: str | None = None
    branch: str | None = None
    ready_until: date | None = None

    @property
    def event(self) -> str:
        """The timeline's word for it, such as `courier_dispatched`."""
        return f"{self.way.value}_{self.state.value}"

    @property
    def fate(self) -> Fate:
        """What becomes of its lines."""
        if self.state in _WELL:
            return Fate.WELL
        if self.state is PartState.CANCELLED:
            return Fate.CANCELLATION
        if self.state is PartState.LOST:
            return Fate.LOST
        if self.state is PartState.RETURNED:
            return Fate.NOT_COLLECTED if self.way is Way.PICKUP else Fate.CAME_BACK
        return Fate.UNDER_WAY

    def facts(self, names: Text | None) -> dict[str, Any]:
        """What a timeline's sentence about it needs; `names` are its branch's."""
        return {
            "carrier": self.carrier,
            "tracking_number": self.tracking_number,
            "branch": self.branch,
            "branch_names": names,
            "ready_until": self.ready_until,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """How a fulfillment stands. Versions only rise; of two reports the one with the higher version is true (G34)."""

    redemption_id: UUID
    version: int
    parts: tuple[Part, ...]
    is_decided: bool = False
    """It answers a cancellation: what it does not call stopped is not going to be stopped."""
    stopped: frozenset[int] = frozenset()
    """Numbers of lines that it says are stopped, beside those of cancelled parts."""
    all_stopped: bool = False
    """Nothing will ever be handed out: it was stopped before it began."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is kept of a redemption's delivery beside what is sealed."""

    redemption_id: UUID
    way: Way
    branch: str | None
    branch_names: Text | None
    fulfillment_version: int
    parts: tuple[Part, ...]
    went_out: bool


def fates_of(numbers: Collection[int], report: Report) -> dict[int, Fate]:
    """What becomes of each line. A line that no part speaks of is under way."""
    if report.all_stopped:
        return dict.fromkeys(numbers, Fate.CANCELLATION)
    told = {number: part.fate for part in report.parts for number in part.lines}
    told.update(dict.fromkeys(report.stopped, Fate.CANCELLATION))
    return {number: told.get(number, Fate.UNDER_WAY) for number in numbers}


def may_still_be_stopped(numbers: Collection[int], report: Report) -> bool:
    """Whether a cancellation is undecided as far as this report knows: something has not left yet."""
    if report.is_decided or report.all_stopped:
        return False
    told = {number: part.state for part in report.parts for number in part.lines}
    return any(told.get(number, PartState.PREPARING) is PartState.PREPARING for number in numbers)


def news(before: Sequence[Part], now: Sequence[Part]) -> list[Part]:
    """The parts of which there is something to tell, in the order in which it happened."""
    known = {(part.way, part.lines): (part.state, part.at) for part in before}
    return sorted(
        (part for part in now if known.get((part.way, part.lines)) != (part.state, part.at)), key=lambda part: part.at
    )


def ways_of(offer: Offer) -> frozenset[str]:
    """The ways in which an offer's reward is delivered."""
    usual = [Way.COURIER, Way.PICKUP] if offer.reward["kind"] == GOODS else [Way.WALLET]
    return frozenset(offer.reward.get("delivery") or usual)


def check_way(goods: Sequence[tuple[int, Offer]], way: Way | None) -> None:
    """Whether (line number, offer) of all goods can go this way; None: nothing was said.

    Raises DeliveryRequired, DeliveryNotNeeded or DeliveryNotOffered.
    """
    if way is None:
        if goods:
            raise DeliveryRequired(FieldError("delivery", "missing"), line=goods[0][0])
        return
    if not goods:
        raise DeliveryNotNeeded(FieldError("delivery", "not-allowed"))
    for number, offer in goods:
        ways = ways_of(offer)
        if way not in ways:
            raise DeliveryNotOffered(FieldError("delivery.way", "not-allowed"), line=number, ways=sorted(ways))
