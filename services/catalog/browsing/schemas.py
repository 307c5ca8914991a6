"""Answers of the routes of browsing; days are the bank's and count to 23:59:59."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel


class CategoryView(BaseModel):
    """A category of rewards."""

    code: str
    name: str


class CampaignView(BaseModel):
    """A campaign that is open."""

    code: str
    version: int
    name: str
    description: str
    theme: str
    opens_on: date
    closes_on: date
    currency: str
    sample: bool
    categories: list[CategoryView]


class CampaignsView(BaseModel):
    """Every campaign that is open today, by code."""

    items: list[CampaignView]


class MoneyView(BaseModel):
    """An amount in the minor unit of its currency."""

    amount_minor: int
    currency: str


class LimitsView(BaseModel):
    """Units one customer may redeem, in all and on one day of the bank; null means no limit."""

    per_customer: int | None
    per_day: int | None


class OfferView(BaseModel):
    """An offer in a list."""

    id: UUID
    version: int
    campaign: str
    code: str
    name: str
    kind: str
    category: str
    category_name: str
    brand: str | None
    image: str | None
    delivery: list[Literal["wallet", "courier", "pickup"]]
    """The ways in which it can be delivered; goods of one redemption go one way."""
    delivery_names: list[str]
    price_points: int
    market_value: MoneyView
    face_value: MoneyView | None
    limits: LimitsView
    opens_on: date
    closes_on: date
    remaining: Literal["many", "few", "none"]


class OffersView(BaseModel):
    """One page of offers, by price upwards; `next` is the cursor of the following page, null at the end."""

    items: list[OfferView]
    next: str | None


class VoucherView(BaseModel):
    """What the voucher is worth, how long and where."""

    face_value: MoneyView
    valid_days: int
    merchants: list[str]
    terms: str


class OfferDetailView(OfferView):
    """One offer with everything there is to read."""

    description: str
    features: str | None
    model: str | None
    lead_time_days: int
    voucher: VoucherView | None
