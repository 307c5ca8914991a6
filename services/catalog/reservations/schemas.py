"""Bodies of the reservation calls."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.catalog.reservations.domain import ITEMS_MAX, LINES_MAX, UNITS_PER_LINE_MAX
from shared.actors import ActorBody

VERSION_MAX = 2**31 - 1

Code = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[A-Z0-9][A-Z0-9_-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LineBody(_Strict):
    """Some units of one offer, in the version that the customer saw."""

    number: int = Field(ge=1, le=LINES_MAX, strict=True)
    offer_id: UUID
    offer_version: int = Field(ge=1, le=VERSION_MAX, strict=True)
    quantity: int = Field(ge=1, le=UNITS_PER_LINE_MAX, strict=True)


class WishBody(_Strict):
    """What one redemption asks for; `id` is the redemption's."""

    id: UUID
    campaign: Code
    lines: list[LineBody] = Field(min_length=1, max_length=LINES_MAX)

    @model_validator(mode="after")
    def _numbers_differ(self) -> "WishBody":
        if len({line.number for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have one number")
        return self


class ReservationsBody(_Strict):
    """Reserve for many redemptions at once."""

    actor: ActorBody
    items: list[WishBody] = Field(min_length=1, max_length=ITEMS_MAX)


class SettlementBody(_Strict):
    """One redemption's reservation."""

    id: UUID


class SettlementsBody(_Strict):
    """Release or consume for many redemptions at once."""

    actor: ActorBody
    items: list[SettlementBody] = Field(min_length=1, max_length=ITEMS_MAX)


class ReasonView(BaseModel):
    """Why a line was refused."""

    code: str
    line: int
    facts: dict[str, int]


class OutcomeView(BaseModel):
    """What became of one item."""

    id: UUID
    outcome: str
    reasons: list[ReasonView]


class OutcomesView(BaseModel):
    """One outcome an item, in the order in which they were sent."""

    items: list[OutcomeView]


class ReservedLineView(BaseModel):
    """Units of a line, and how many of them return documents have named."""

    number: int
    quantity: int
    returned: int


class ReservationView(BaseModel):
    """A reservation, for whoever compares books; `campaign` is null when only its release has come."""

    id: UUID
    campaign: str | None
    state: str
    changed_at: str
    lines: list[ReservedLineView]


class ReservationPage(BaseModel):
    """Reservations by id; `next` is the `after` of the following page, null at the end."""

    items: list[ReservationView]
    next: UUID | None
