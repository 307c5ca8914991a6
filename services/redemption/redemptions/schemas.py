"""Redemptions in JSON."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.redemption.deliveries.schemas import DeliveryOut, DeliveryWish
from services.redemption.redemptions.domain import LINES_MAX, QUANTITY_MAX
from services.redemption.returns.domain import REASON_CHARACTERS_MAX


class LineWish(BaseModel):
    """So many of one offer, at the version that the customer saw."""

    model_config = ConfigDict(extra="forbid", strict=False)

    offer_id: UUID
    offer_version: int = Field(ge=1, le=2**31 - 1, strict=True)
    quantity: int = Field(default=1, ge=1, le=QUANTITY_MAX, strict=True)


class RedemptionWish(BaseModel):
    """What the customer wants to redeem: one to ten lines of one campaign."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["points"] = "points"
    campaign: str = Field(min_length=1, max_length=32, pattern=r"^[A-Z0-9][A-Z0-9_-]*$")
    lines: list[LineWish] = Field(min_length=1, max_length=LINES_MAX)
    delivery: DeliveryWish | None = None
    """How the goods among them reach the customer; required for goods, and not allowed without."""


class RewardOut(BaseModel):
    """What is handed out, named in the caller's language."""

    code: str
    name: str


class LineOut(BaseModel):
    """A line; points are whole numbers."""

    number: int
    offer_id: UUID
    offer_version: int
    reward: RewardOut
    quantity: int
    unit_points: int
    points: int


class RedemptionOut(BaseModel):
    """A redemption; instants carry their offset."""

    id: UUID
    customer_id: UUID
    mode: str
    state: str
    state_words: str
    campaign: str
    price_points: int
    lines: list[LineOut]
    cancellable: bool
    """A hint: as far as is known here it may still be stopped. Whether it can is decided when somebody cancels."""
    accepted_at: datetime
    changed_at: datetime


class TimelineEntryOut(BaseModel):
    """What happened, in words that can be read out. To customers the actor is no more than `staff` where it was one of them."""

    at: datetime
    kind: str
    actor: str
    words: str


class ReturnLineOut(BaseModel):
    """So many units of a line, and the points that went back for them."""

    number: int
    quantity: int
    points: int


class ReturnOut(BaseModel):
    """A document by which points went back, or by which somebody asked for it; `kind` says why."""

    id: UUID
    kind: str
    state: str
    requested_at: datetime
    decided_at: datetime | None
    points: int
    lines: list[ReturnLineOut]


class RedemptionWithTimeline(RedemptionOut):
    """A redemption and everything that happened to it; a redemption of e-vouchers alone has no delivery."""

    delivery: DeliveryOut | None
    returns: list[ReturnOut]
    timeline: list[TimelineEntryOut]


class CancellationWish(BaseModel):
    """Why it is cancelled; staff say it, customers may."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_CHARACTERS_MAX)] | None = (
        None
    )


class RedemptionPage(BaseModel):
    """A page of redemptions, the newest first; `next` is the cursor of the next page."""

    items: list[RedemptionOut]
    next: str | None
