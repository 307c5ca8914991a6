"""What a customer asks for, and how the answer is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.redemption.customers.domain import Customer
from services.redemption.deliveries.domain import Chosen
from services.redemption.redemptions.domain import Line, Redemption
from services.redemption.redemptions.store import LineRow
from shared.audit import Actor
from shared.errors import DomainError
from shared.idempotency import Attempt


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told: kept under the key, byte for byte, once it has ended."""

    status: int
    body: bytes
    location: str | None = None
    replayed: bool = False


class Writer(Protocol):
    """Writes answers in the caller's language; the web side has it, the worker needs none."""

    def redemption(self, redemption: Redemption, lines: Sequence[LineRow]) -> Answer:
        """A redemption at its end or beyond its pivot, or its refusal."""

    def refusal(self, error: DomainError) -> Answer:
        """A refusal before anything was accepted."""

    def under_way(self, redemption: Redemption, lines: Sequence[LineRow]) -> Answer:
        """Not ended yet: where to ask again."""


@dataclass(frozen=True, slots=True)
class Redeem:
    """One customer's wish to redeem, with the offers as they saw them."""

    id: UUID
    attempt: Attempt
    customer: Customer
    campaign: str
    lines: tuple[Line, ...]
    actor: Actor
    writer: Writer
    delivery: Chosen | None = None
    """Where its goods go; None when there are none."""

    @property
    def price_points(self) -> int:
        """What it costs in all."""
        return sum(line.points for line in self.lines)
