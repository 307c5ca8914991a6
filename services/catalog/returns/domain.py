"""What a return document is, and what it gives back: a pure decision over counters that the caller has locked.

Units come back before they were handed out or after it, or they are lost. Places (quota and budget) come back when a redemption
is cancelled, never when a parcel merely came back: the campaign has spent them.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from services.catalog.reservations.domain import Outcome, State
from shared.audit import Actor

K = TypeVar("K")

ITEMS_MAX = 64
LINES_MAX = 10


class GivesBack(StrEnum):
    """What comes back with a document."""

    STOCK_AND_PLACES = "stock_and_places"
    """A cancellation: everything, quota and budget on the day on which they were counted."""
    STOCK = "stock"
    """A parcel came back: its units can be had again."""
    NOTHING = "nothing"
    """A parcel was lost: it is only written down."""


class ReturnOutcome(StrEnum):
    """What became of one document."""

    RETURNED = "returned"
    MISMATCH = "mismatch"
    """Another document stands under the id."""
    UNKNOWN = "unknown"
    """There is no such reservation."""
    TOO_MANY = "too_many"
    """A line has fewer units left than come back; nothing was changed."""


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """Units of one line that come back."""

    number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Return:
    """A document: what comes back of one reservation, and why."""

    id: UUID
    reservation_id: UUID
    gives_back: GivesBack
    lines: tuple[ReturnedLine, ...]
    actor: Actor

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of what comes back; who says so is no part of it."""
        said = [str(self.reservation_id), self.gives_back, sorted((x.number, x.quantity) for x in self.lines)]
        return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).digest()


@dataclass(slots=True)
class LineCounter:
    """A line of a reservation, and what has come back of it."""

    reservation_id: UUID
    number: int
    campaign: str
    offer_id: UUID
    counted_on: date
    quantity: int
    cost_minor: int
    returned: int
    places_returned: int

    @property
    def left(self) -> int:
        """Units that no document names yet."""
        return self.quantity - self.returned

    @property
    def unit_cost_minor(self) -> int:
        """A line's cost is that of its units, and each costs the same."""
        return self.cost_minor // self.quantity


@dataclass(slots=True)
class DrawCounter:
    """What a line drew from a batch, and what has come back of that."""

    reservation_id: UUID
    line: int
    batch_id: UUID
    quantity: int
    returned: int
    restocked: int


@dataclass
class Standing:
    """Reservations with their lines and draws, locked and read; deciding works on this copy."""

    states: Mapping[UUID, State]
    lines: Mapping[tuple[UUID, int], LineCounter]
    draws: Mapping[tuple[UUID, int], Sequence[DrawCounter]]
    """By reservation and line; the batch that can be sold longest in front, so that what comes back is of most use."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Units of a batch that moved by a document."""

    document: Return
    line: int
    batch_id: UUID
    kind: str
    quantity: int


@dataclass
class Decision:
    """What became of the documents, and what has to be written: net changes by key."""

    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    granted: list[Return] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    batches: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    """Held, consumed."""
    budgets: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Committed, spent."""
    places: dict[tuple[UUID, date], int] = field(default_factory=lambda: defaultdict(int))
    """Units by offer and the day on which they were counted."""
    lines: dict[tuple[UUID, int], LineCounter] = field(default_factory=dict)
    draws: dict[tuple[UUID, int, UUID], DrawCounter] = field(default_factory=dict)


def decide(documents: Sequence[Return], standing: Standing) -> Decision:
    """Take documents in the order in which they came; each is taken whole or not at all (K7).

    The counters of `standing` are changed, so that the next document sees what is left.
    """
    decision = Decision()
    for document in documents:
        state = standing.states.get(document.reservation_id)
        if state is None:
            outcome = ReturnOutcome.UNKNOWN
        elif state not in (State.HELD, State.CONSUMED) or any(_exceeds(document, line, standing) for line in document.lines):
            outcome = ReturnOutcome.TOO_MANY
        else:
            outcome = ReturnOutcome.RETURNED
            decision.granted.append(document)
            for line in document.lines:
                _give_back(document, line, state, standing, decision)
        decision.outcomes[document.id] = Outcome(document.id, outcome)
    return decision


def _exceeds(document: Return, line: ReturnedLine, standing: Standing) -> bool:
    counter = standing.lines.get((document.reservation_id, line.number))
    return counter is None or line.quantity > counter.left


def _give_back(document: Return, line: ReturnedLine, state: State, standing: Standing, decision: Decision) -> None:
    key = (document.reservation_id, line.number)
    counter = standing.lines[key]
    counter.returned += line.quantity
    decision.lines[key] = counter
    cost_minor = counter.unit_cost_minor * line.quantity
    if document.gives_back is GivesBack.STOCK_AND_PLACES:
        counter.places_returned += line.quantity
        decision.places[counter.offer_id, counter.counted_on] += line.quantity
        spent, committed = (0, -cost_minor) if state is State.HELD else (-cost_minor, 0)
        _add(decision.budgets, counter.campaign, committed, spent)
    elif state is State.HELD:  # it was on its way before anybody said so: the money is spent
        _add(decision.budgets, counter.campaign, -cost_minor, cost_minor)
    for draw, quantity in _drawn(standing.draws[key], line.quantity):
        decision.draws[*key, draw.batch_id] = draw
        kind = _move(draw, quantity, document.gives_back, state, decision)
        if kind is not None:
            decision.moved.append(Moved(document, line.number, draw.batch_id, kind, quantity))


def _drawn(draws: Sequence[DrawCounter], wanted: int) -> Iterator[tuple[DrawCounter, int]]:
    """The draws to which so many units go back."""
    for draw in draws:
        quantity = min(draw.quantity - draw.returned, wanted)
        if quantity:
            wanted -= quantity
            yield draw, quantity
    assert wanted == 0, "a line's draws are as many units as the line"


def _move(draw: DrawCounter, quantity: int, gives_back: GivesBack, state: State, decision: Decision) -> str | None:
    """Count units of a draw as come back; the kind of the movement that explains it, None when no counter of stock moves."""
    draw.returned += quantity
    if gives_back is GivesBack.NOTHING:
        if state is State.CONSUMED:
            return None
        _add(decision.batches, draw.batch_id, -quantity, quantity)
        return "lost"
    draw.restocked += quantity
    if state is State.HELD:
        _add(decision.batches, draw.batch_id, -quantity, 0)
        return "given_back"
    _add(decision.batches, draw.batch_id, 0, -quantity)
    return "returned"


def _add(changes: dict[K, tuple[int, int]], key: K, first: int, second: int) -> None:
    before = changes.get(key, (0, 0))
    changes[key] = (before[0] + first, before[1] + second)
