"""Returns: documents by which points of a redemption go back, by line and quantity, each exactly once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

REASON_CHARACTERS_MAX = 200


class Kind(StrEnum):
    """Why points go back."""

    CANCELLATION = "cancellation"
    NOT_COLLECTED = "not_collected"
    CAME_BACK = "came_back"
    LOST = "lost"

    @property
    def gives_back(self) -> str:
        """What the catalog gets back: stock and places when it never left, stock when it is there again, else nothing."""
        if self is Kind.CANCELLATION:
            return "stock_and_places"
        return "nothing" if self is Kind.LOST else "stock"


class State(StrEnum):
    """Where a return stands. Only a cancellation is asked for; whatever comes back by itself is a fact."""

    REQUESTED = "requested"
    REFUNDED = "refunded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Return:
    """The head of a document: who asked for it and why, or who told of it."""

    id: UUID
    redemption_id: UUID
    kind: Kind
    state: State
    reason: str
    actor: str
    channel: str
    requested_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """So many units of a line, and the points that go back for them."""

    return_id: UUID
    redemption_id: UUID
    number: int
    quantity: int
    points: int


def id_of(redemption_id: UUID, kind: Kind, numbers: Collection[int]) -> UUID:
    """The id of a document that nobody asked for: the same fact is the same document, however often it is told."""
    return uuid5(redemption_id, f"{kind.value}:{','.join(map(str, sorted(numbers)))}")


def lines_to_return(
    lines: Iterable[Mapping[str, Any]], numbers: Collection[int], returned: Mapping[int, int]
) -> list[tuple[int, int, int]]:
    """(number, quantity, points) of what has not come back yet of these lines; `returned` says what has."""
    found = []
    for line in lines:
        left = line["quantity"] - returned.get(line["number"], 0)
        if line["number"] in numbers and left > 0:
            found.append((line["number"], left, left * line["unit_points"]))
    return found


def points_of(lines: Sequence[ReturnLine]) -> int:
    """What goes back in all."""
    return sum(line.points for line in lines)
