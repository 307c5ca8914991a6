"""Deliveries in JSON: what customers wish for, what fulfillment tells of parts, and what is shown of them."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from services.redemption.deliveries.domain import PARTS_MAX, STATES_OF, Part, PartState, Report, Way
from shared.actors import ActorBody

ITEMS_MAX = 64
VERSION_MAX = 2**31 - 1
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
BranchCode = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


def _written(value: object) -> object:
    """Instants and days are written out: a number would be read as seconds since 1970."""
    if value is not None and not isinstance(value, str):
        raise ValueError("not a text")
    return value


class CourierWish(BaseModel):
    """To an address of the customer's book."""

    model_config = ConfigDict(extra="forbid")

    way: Literal["courier"]
    address_id: UUID


class PickupWish(BaseModel):
    """To be picked up at a branch."""

    model_config = ConfigDict(extra="forbid")

    way: Literal["pickup"]
    branch: BranchCode


DeliveryWish = Annotated[CourierWish | PickupWish, Field(discriminator="way")]


class PartBody(BaseModel):
    """How one part of a fulfillment stands; `ready_until` is the last day at the branch, in the bank's time zone.

    What it says beside that is passed over: a newer fulfillment may know more.
    """

    model_config = ConfigDict(extra="ignore")

    way: Way
    state: PartState
    lines: list[Annotated[int, Field(ge=1, le=10, strict=True)]] = Field(min_length=1, max_length=10)
    at: Annotated[AwareDatetime, BeforeValidator(_written)]
    carrier: Word | None = None
    tracking_number: Word | None = None
    branch: Word | None = None
    ready_until: Annotated[date | None, BeforeValidator(_written)] = None

    @model_validator(mode="after")
    def _fits(self) -> "PartBody":
        if self.state not in STATES_OF[self.way]:
            raise ValueError("this way knows no such state")
        return self

    def as_part(self) -> Part:
        """In our own words."""
        return Part(
            way=self.way,
            state=self.state,
            lines=tuple(sorted(self.lines)),
            at=self.at,
            carrier=self.carrier,
            tracking_number=self.tracking_number,
            branch=self.branch,
            ready_until=self.ready_until,
        )


class OutcomeItem(BaseModel):
    """How the fulfillment of one redemption stands; of two versions the higher one is true."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    version: int = Field(ge=1, le=VERSION_MAX, strict=True)
    parts: list[PartBody] = Field(min_length=1, max_length=PARTS_MAX)

    def as_report(self) -> Report:
        """In our own words."""
        return Report(self.id, self.version, tuple(part.as_part() for part in self.parts))


class OutcomesBody(BaseModel):
    """What fulfillment tells of several redemptions."""

    model_config = ConfigDict(extra="forbid")

    actor: ActorBody
    items: list[OutcomeItem] = Field(min_length=1, max_length=ITEMS_MAX)


class OutcomeView(BaseModel):
    """Whether it was news: `taken`, `older` than what is known, `unknown` here, or `failed`: then it is to be told again."""

    id: UUID
    outcome: Literal["taken", "older", "unknown", "failed"]


class OutcomesView(BaseModel):
    """One answer an item, in their order."""

    items: list[OutcomeView]


class PartOut(BaseModel):
    """How far a part is; `ready_until` is the last day on which it can be picked up."""

    way: str
    state: str
    lines: list[int]
    carrier: str | None
    tracking_number: str | None
    ready_until: date | None


class DeliveryOut(BaseModel):
    """How the goods of a redemption reach the customer; the branch is named in the caller's language."""

    way: str
    branch: str | None
    branch_name: str | None
    parts: list[PartOut]
