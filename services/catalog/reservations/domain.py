"""What a reservation is, and who gets what: a pure decision over counters that the caller has locked.

States and their arrows; the database enforces them too:
    (new) -> held       everything asked for was taken
    (new) -> refused    something was missing, nothing was taken; kept, and answered again
    (new) -> released   the release came first: a tombstone
    held  -> released   given back
    held  -> consumed   handed out
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.audit import Actor

ITEMS_MAX = 64
LINES_MAX = 10
UNITS_PER_LINE_MAX = 1_000


class State(StrEnum):
    """Where a reservation stands."""

    HELD = "held"
    REFUSED = "refused"
    RELEASED = "released"
    CONSUMED = "consumed"


ARROWS: Mapping[State, frozenset[State]] = {
    State.HELD: frozenset({State.RELEASED, State.CONSUMED}),
    State.REFUSED: frozenset(),
    State.RELEASED: frozenset(),
    State.CONSUMED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Line:
    """Some units of one offer, in the version that the customer saw."""

    number: int
    offer_id: UUID
    offer_version: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A redemption asks for everything on its lines, or nothing."""

    id: UUID
    campaign: str
    lines: tuple[Line, ...]
    actor: Actor

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of what is asked; who asks is no part of it."""
        asked = [self.campaign, sorted((x.number, str(x.offer_id), x.offer_version, x.quantity) for x in self.lines)]
        return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a line was refused, with the facts a person needs to understand it."""

    code: str
    line: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a bulk call."""

    id: UUID
    outcome: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class OfferInForce:
    """An offer as it may be redeemed now; `version` is None when the version in force does not hold it."""

    id: UUID
    campaign: str
    reward: str
    campaign_live: bool
    campaign_opens_on: date
    campaign_closes_on: date
    version: int | None
    price_points: int
    unit_cost_minor: int
    opens_on: date
    closes_on: date


@dataclass(slots=True)
class QuotaCounter:
    """What is taken of an offer's quota; `day_taken` counts `day_on` only."""

    offer_id: UUID
    total_ceiling: int | None
    total_taken: int
    day_ceiling: int | None
    day_taken: int
    day_on: date

    def turn_to(self, day: date) -> None:
        """Begin a new day when it has come; a day that is over is never opened again."""
        if day > self.day_on:
            self.day_on, self.day_taken = day, 0

    def left(self) -> int | None:
        """Units still to be had today; None without a ceiling."""
        ceilings = [
            ceiling - taken
            for ceiling, taken in ((self.total_ceiling, self.total_taken), (self.day_ceiling, self.day_taken))
            if ceiling is not None
        ]
        return min(ceilings) if ceilings else None


@dataclass(slots=True)
class BatchCounter:
    """Units of one stock batch that nobody has."""

    id: UUID
    campaign: str
    reward: str
    expires_on: date | None
    free: int


@dataclass(slots=True)
class BudgetCounter:
    """What is left of the budget line that pays for a campaign's rewards; None without a ceiling."""

    campaign: str
    left_minor: int | None


@dataclass(frozen=True, slots=True)
class Draw:
    """Units that a line takes from a batch."""

    reservation_id: UUID
    line: int
    batch_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class TakenLine:
    """A line that was granted: what it costs the bank, and the day on which its quota counts it."""

    reservation_id: UUID
    campaign: str
    line: Line
    cost_minor: int
    counted_on: date


@dataclass
class Supply:
    """All counters that a set of wishes can touch, locked and read; deciding works on this copy."""

    today: date
    offers: Mapping[UUID, OfferInForce]
    quotas: Mapping[UUID, QuotaCounter]
    batches: Mapping[tuple[str, str], Sequence[BatchCounter]]
    """By campaign and reward, the batch that expires first in front."""
    budgets: Mapping[str, BudgetCounter]


@dataclass
class Decision:
    """Who got what: one outcome a wish, and what has to be written."""

    outcomes: list[Outcome] = field(default_factory=list)
    lines: list[TakenLine] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)


def decide(wishes: Sequence[Wish], supply: Supply) -> Decision:
    """Grant or refuse the wishes in the order in which they came; each gets all of its lines or nothing (G9).

    The counters of `supply` are changed as units are taken, so that the next wish sees what is left.
    """
    for quota in supply.quotas.values():
        quota.turn_to(supply.today)
    decision = Decision()
    for wish in wishes:
        reasons = _reasons(wish, supply)
        if reasons:
            decision.outcomes.append(Outcome(wish.id, State.REFUSED, tuple(reasons)))
        else:
            for line in wish.lines:
                _take(wish, line, supply, decision)
            decision.outcomes.append(Outcome(wish.id, State.HELD))
    return decision


def _reasons(wish: Wish, supply: Supply) -> list[Reason]:
    """Everything that stands against a wish; several lines of one offer or reward are seen together."""
    reasons: list[Reason] = []
    asked_offer: dict[UUID, int] = {}
    asked_reward: dict[str, int] = {}
    cost_minor = 0
    for line in wish.lines:
        offer = supply.offers.get(line.offer_id)
        closed = _closed(wish, line, offer, supply.today)
        if closed is not None or offer is None:
            reasons.append(closed or Reason("offer-not-open", line.number))
            continue
        asked_offer[offer.id] = asked_offer.get(offer.id, 0) + line.quantity
        asked_reward[offer.reward] = asked_reward.get(offer.reward, 0) + line.quantity
        cost_minor += offer.unit_cost_minor * line.quantity
        quota = supply.quotas[offer.id].left()
        if quota is not None and asked_offer[offer.id] > quota:
            reasons.append(Reason("quota-exhausted", line.number, {"left": quota}))
        free = sum(batch.free for batch in _sellable(offer, supply))
        if asked_reward[offer.reward] > free:
            reasons.append(Reason("out-of-stock", line.number, {"left": free}))
        budget = supply.budgets[wish.campaign].left_minor
        if budget is not None and cost_minor > budget:
            reasons.append(Reason("budget-exhausted", line.number))
    return reasons


def _closed(wish: Wish, line: Line, offer: OfferInForce | None, today: date) -> Reason | None:
    """Why the offer cannot be had at all now, whatever is left of it."""
    if offer is None or offer.campaign != wish.campaign:
        return Reason("offer-not-open", line.number)
    if not offer.campaign_live or not offer.campaign_opens_on <= today <= offer.campaign_closes_on:
        return Reason("campaign-not-open", line.number)
    if offer.version is None or not offer.opens_on <= today <= offer.closes_on:
        return Reason("offer-not-open", line.number)
    if offer.version != line.offer_version:
        facts = {"offer_version": offer.version, "price_points": offer.price_points}
        return Reason("offer-changed", line.number, facts)
    return None


def _sellable(offer: OfferInForce, supply: Supply) -> list[BatchCounter]:
    found = supply.batches.get((offer.campaign, offer.reward), ())
    return [batch for batch in found if batch.expires_on is None or batch.expires_on >= supply.today]


def _take(wish: Wish, line: Line, supply: Supply, decision: Decision) -> None:
    """Take a line's units from the batches that expire first, and count quota and budget."""
    offer = supply.offers[line.offer_id]
    wanted = line.quantity
    for batch in _sellable(offer, supply):
        taken = min(batch.free, wanted)
        if taken:
            batch.free -= taken
            wanted -= taken
            decision.draws.append(Draw(wish.id, line.number, batch.id, taken))
    assert wanted == 0, "checked before taking"
    quota = supply.quotas[offer.id]
    quota.total_taken += line.quantity
    quota.day_taken += line.quantity
    cost_minor = offer.unit_cost_minor * line.quantity
    budget = supply.budgets[wish.campaign]
    if budget.left_minor is not None:
        budget.left_minor -= cost_minor
    decision.lines.append(TakenLine(wish.id, wish.campaign, line, cost_minor, quota.day_on))
