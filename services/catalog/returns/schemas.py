"""Bodies of the call that gives back."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.catalog.reservations.domain import UNITS_PER_LINE_MAX
from services.catalog.returns.domain import ITEMS_MAX, LINES_MAX
from shared.actors import ActorBody


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReturnedLineBody(_Strict):
    """Units of one line that come back."""

    number: int = Field(ge=1, le=LINES_MAX, strict=True)
    quantity: int = Field(ge=1, le=UNITS_PER_LINE_MAX, strict=True)


class ReturnBody(_Strict):
    """What comes back of one reservation; `id` is the return document's."""

    id: UUID
    reservation_id: UUID
    gives_back: Literal["stock_and_places", "stock", "nothing"]
    lines: list[ReturnedLineBody] = Field(min_length=1, max_length=LINES_MAX)

    @model_validator(mode="after")
    def _numbers_differ(self) -> "ReturnBody":
        if len({line.number for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have one number")
        return self


class ReturnsBody(_Strict):
    """Return documents of many redemptions at once."""

    actor: ActorBody
    items: list[ReturnBody] = Field(min_length=1, max_length=ITEMS_MAX)


class ReturnOutcomeView(BaseModel):
    """What became of one document."""

    id: UUID
    outcome: Literal["returned", "mismatch", "unknown", "too_many"]


class ReturnOutcomesView(BaseModel):
    """One outcome an item, in the order in which they were sent."""

    items: list[ReturnOutcomeView]
