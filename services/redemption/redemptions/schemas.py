"""Redemptions in JSON."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.redemption.redemptions.domain import LINES_MAX, QUANTITY_MAX


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
    mode: str
    state: str
    state_words: str
    campaign: str
    price_points: int
    lines: list[LineOut]
    accepted_at: datetime
    changed_at: datetime


class TimelineEntryOut(BaseModel):
    """What happened, in words that can be read out."""

    at: datetime
    kind: str
    actor: str
    words: str


class RedemptionWithTimeline(RedemptionOut):
    """A redemption and everything that happened to it."""

    timeline: list[TimelineEntryOut]


class RedemptionPage(BaseModel):
    """A page of redemptions, the newest first; `next` is the cursor of the next page."""

    items: list[RedemptionOut]
    next: str | None
