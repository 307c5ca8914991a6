"""Answers of the routes of versions."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel


class LoadedView(BaseModel):
    """Which version a workbook became."""

    campaign: str
    version: int
    created: bool


class PublishedView(BaseModel):
    """Which version of a campaign is in force."""

    campaign: str
    version: int
    state: str


class ThreeLanguages(BaseModel):
    """A text in three languages."""

    zh_hans: str
    zh_hant: str
    en: str


class Money(BaseModel):
    """An amount in the minor unit of its currency."""

    amount_minor: int
    currency: str


class RewardInVersion(BaseModel):
    """The reward as the offer's version says it."""

    code: str
    kind: str
    category: str
    names: ThreeLanguages
    descriptions: ThreeLanguages
    features: ThreeLanguages | None
    brand: str | None
    model: str | None
    image: str | None
    lead_time_days: int
    delivery: list[Literal["wallet", "courier", "pickup"]]
    market_value: Money


class VoucherInVersion(BaseModel):
    """What the voucher is worth, how many days from its issue, and at which merchants."""

    face_value_minor: int
    currency: str
    valid_days: int
    merchants: list[str]
    terms: ThreeLanguages


class LimitsInVersion(BaseModel):
    """Units for one customer in all and on one day of the bank; null means no limit."""

    per_customer: int | None
    per_day: int | None


class OfferVersionView(BaseModel):
    """One version of an offer; it never changes."""

    offer_id: UUID
    version: int
    campaign: str
    code: str
    price_points: int
    limits: LimitsInVersion
    opens_on: date
    closes_on: date
    reward: RewardInVersion
    voucher: VoucherInVersion | None
    """Null for goods."""
