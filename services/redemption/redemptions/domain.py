"""The redemption: its states, its arrows, and what is to be done when something happens to it.

`decide` is pure. The request that brings a redemption, the worker that takes over after a crash, the tests and the drawing in
the docs all use it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.redemption.deliveries.domain import Fate, Report, fates_of, may_still_be_stopped
from services.redemption.offers.domain import Offer
from shared.errors import DomainError

LINES_MAX = 10
QUANTITY_MAX = 100
DEADLINE = timedelta(seconds=60)
"""A redemption whose stock could not be asked for in this time is declined, so that nobody waits and nobody gets two."""


class State(StrEnum):
    """Where a redemption stands."""

    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    DELIVERING = "delivering"
    FULFILLED = "fulfilled"
    DECLINED = "declined"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Event(StrEnum):
    """What can happen to a redemption."""

    RESERVED = "reserved"
    REFUSED = "refused"
    DEADLINE_PASSED = "deadline_passed"
    UNDER_WAY = "under_way"
    """Fulfillment has it, and something is on its way or about to be."""
    DELIVERED = "delivered"
    """All parts came to their end, and at least one of them well."""
    CAME_BACK = "came_back"
    """All parts came to their end, and the customer has nothing of it."""
    CANCEL_ASKED = "cancel_asked"
    STOPPED = "stopped"
    """Fulfillment says that nothing of it was or will be handed out."""


class Command(StrEnum):
    """What is to be done in the commit that takes an arrow, or by a task that the commit writes.

    Beside these every commit that learns of a line that was stopped, came back or was lost refunds that line, whatever
    becomes of the others.
    """

    POST_POINTS = "post_points"
    REFUND_POINTS = "refund_points"
    FULFIL = "fulfil"
    WATCH = "watch"
    STOP = "stop"
    RELEASE_POINTS = "release_points"
    RELEASE_LIMITS = "release_limits"
    RELEASE_RESERVATION = "release_reservation"
    CONSUME_RESERVATION = "consume_reservation"


ARROWS: Mapping[tuple[State, Event], tuple[State, tuple[Command, ...]]] = {
    # The pivot: from here on only forward, unless fulfillment itself says that nothing is handed out.
    (State.ACCEPTED, Event.RESERVED): (State.CONFIRMED, (Command.POST_POINTS, Command.FULFIL)),
    (State.ACCEPTED, Event.REFUSED): (State.DECLINED, (Command.RELEASE_POINTS, Command.RELEASE_LIMITS)),
    (State.ACCEPTED, Event.DEADLINE_PASSED): (
        State.DECLINED,
        (Command.RELEASE_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION),
    ),
    # The row decides between this and the pivot; the release is a tombstone for a reservation that is on its way.
    (State.ACCEPTED, Event.CANCEL_ASKED): (
        State.CANCELLED,
        (Command.RELEASE_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION),
    ),
    (State.CONFIRMED, Event.DELIVERED): (State.FULFILLED, (Command.CONSUME_RESERVATION,)),
    (State.CONFIRMED, Event.UNDER_WAY): (State.DELIVERING, (Command.WATCH,)),
    (State.DELIVERING, Event.DELIVERED): (State.FULFILLED, ()),
    (State.CANCELLING, Event.DELIVERED): (State.FULFILLED, (Command.CONSUME_RESERVATION,)),
    (State.CANCELLING, Event.UNDER_WAY): (State.DELIVERING, (Command.WATCH,)),
    (State.CONFIRMED, Event.CANCEL_ASKED): (State.CANCELLING, (Command.STOP,)),
    (State.DELIVERING, Event.CANCEL_ASKED): (State.CANCELLING, (Command.STOP,)),
    **{
        (state, Event.STOPPED): (
            State.CANCELLED,
            (Command.REFUND_POINTS, Command.RELEASE_LIMITS, Command.RELEASE_RESERVATION),
        )
        for state in (State.CONFIRMED, State.DELIVERING, State.CANCELLING)
    },
    **{
        (state, Event.CAME_BACK): (State.RETURNED, (Command.REFUND_POINTS,))
        for state in (State.CONFIRMED, State.DELIVERING, State.CANCELLING)
    },
}
LIVE = frozenset({State.ACCEPTED, State.CONFIRMED, State.DELIVERING, State.CANCELLING})
CANCELLABLE = frozenset(state for state, event in ARROWS if event is Event.CANCEL_ASKED)
"""States in which somebody may ask to cancel; after the pivot fulfillment says whether it still can be."""
TASK_FOR: Mapping[Command, str] = {
    Command.FULFIL: "fulfil",
    Command.WATCH: "watch",
    Command.STOP: "cancel",
    Command.CONSUME_RESERVATION: "consume",
    Command.RELEASE_RESERVATION: "release",
}
"""Commands that are carried out after the commit, by a task that it writes."""
TASK_OF: Mapping[State, str] = {
    State.ACCEPTED: "drive",
    State.CONFIRMED: "fulfil",
    State.DELIVERING: "watch",
    State.CANCELLING: "cancel",
}
"""The task that carries a redemption on from each state that is not an end."""


class InvalidTransition(DomainError):
    """This cannot happen to a redemption in that state."""


class OfferUnknown(DomainError):
    """There is no such offer in this campaign."""


class OfferChanged(DomainError):
    """The offer has changed since you saw it."""


class LimitReached(DomainError):
    """You have taken as many of this offer as one customer may."""


class OutOfStock(DomainError):
    """The last one has just gone."""


class QuotaExhausted(DomainError):
    """The places of this offer are all taken."""


class BudgetExhausted(DomainError):
    """The campaign's budget is spent."""


class CampaignNotOpen(DomainError):
    """The campaign is not open at present."""


class OfferNotOpen(DomainError):
    """The offer cannot be redeemed at present."""


class CatalogUnavailable(DomainError):
    """The stock could not be asked in time; your points are free again."""


class TooLateToCancel(DomainError):
    """It cannot be cancelled any more."""


REFUSALS: Mapping[str, type[DomainError]] = {
    "out-of-stock": OutOfStock,
    "quota-exhausted": QuotaExhausted,
    "budget-exhausted": BudgetExhausted,
    "campaign-not-open": CampaignNotOpen,
    "offer-not-open": OfferNotOpen,
    "offer-changed": OfferChanged,
    "catalog-unavailable": CatalogUnavailable,
}
"""The reasons for which a redemption is declined after it was accepted, by their stable codes."""


def decide(state: State, event: Event, *, in_doubt: bool = False) -> tuple[State, tuple[Command, ...]]:
    """The next state and what its commit does. Raises InvalidTransition.

    `in_doubt`: an earlier attempt to reserve may still arrive. A refusal then leaves a release behind, which is a tombstone
    for whatever comes late (G10, G22).
    """
    try:
        to, commands = ARROWS[state, event]
    except KeyError:
        raise InvalidTransition(state=state.value, event=event.value) from None
    if event is Event.REFUSED and in_doubt:
        commands = (*commands, Command.RELEASE_RESERVATION)
    return to, commands


def event_of(state: State, numbers: Collection[int], report: Report) -> Event | None:
    """What a report of fulfillment means for a redemption in a state: the arrow to take, or None when it stays there.

    While a cancellation is asked for, a part that has not left yet may still be stopped: then only the answer decides.
    """
    if state not in (State.CONFIRMED, State.DELIVERING, State.CANCELLING):
        return None
    if state is State.CANCELLING and may_still_be_stopped(numbers, report):
        return None
    fates = set(fates_of(numbers, report).values())
    if Fate.UNDER_WAY in fates:
        return None if state is State.DELIVERING else Event.UNDER_WAY
    if Fate.WELL in fates:
        return Event.DELIVERED
    return Event.STOPPED if fates == {Fate.CANCELLATION} else Event.CAME_BACK


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one offer at one price a piece."""

    number: int
    offer: Offer
    quantity: int

    @property
    def points(self) -> int:
        """What the line costs."""
        return self.offer.price_points * self.quantity


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """What happened, when and by whom; the words for it are found when it is read."""

    number: int
    at: datetime
    kind: str
    actor: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Redemption:
    """A redemption as it stands."""

    id: UUID
    customer_id: UUID
    account_id: UUID
    campaign: str
    mode: str
    state: State
    price_points: int
    accepted_at: datetime
    accepted_on: date
    deadline_at: datetime
    changed_at: datetime
    events_count: int
    reasons: Sequence[Mapping[str, Any]]
    actor: str
    channel: str


@dataclass(frozen=True, slots=True)
class Limit:
    """How many one customer may take, counted under a key: of an offer in all, or of an offer on a day."""

    key: str
    most: int
    offer_id: UUID


def limits_of(offer: Offer, day: date) -> list[Limit]:
    """The personal limits that an offer sets; days are the bank's, of the moment of accepting (K2, C4)."""
    limits = []
    if offer.per_customer is not None:
        limits.append(Limit(f"offer:{offer.id}", offer.per_customer, offer.id))
    if offer.per_day is not None:
        limits.append(Limit(f"offer:{offer.id}:{day.isoformat()}", offer.per_day, offer.id))
    return limits


def take_limits(lines: Sequence[Line], day: date, taken: dict[str, int]) -> dict[str, int]:
    """What the lines take of the customer's limits, by key; `taken` is updated. Raises LimitReached, and then it is not."""
    wanted: dict[str, int] = {}
    for line in lines:
        for limit in limits_of(line.offer, day):
            wanted[limit.key] = wanted.get(limit.key, 0) + line.quantity
            if taken.get(limit.key, 0) + wanted[limit.key] > limit.most:
                left = max(0, limit.most - taken.get(limit.key, 0))
                raise LimitReached(line=line.number, limit=limit.most, left=left)
    for key, quantity in wanted.items():
        taken[key] = taken.get(key, 0) + quantity
    return wanted
