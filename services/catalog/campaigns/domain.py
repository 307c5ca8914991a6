"""Campaigns, their versions, rewards and offers: what they are and what may be done with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from services.catalog.merchants.domain import Merchant, Terminal
from shared.errors import DomainError
from shared.languages import Text

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:huangou:catalog")


class RewardKind(StrEnum):
    """What a reward is (K1)."""

    GOODS = "goods"
    E_VOUCHER = "e_voucher"
    PAPER_VOUCHER = "paper_voucher"


class Way(StrEnum):
    """A way of delivery: how a reward reaches the customer (F1, F2, F3)."""

    WALLET = "wallet"
    COURIER = "courier"
    PICKUP = "pickup"


WAYS: Mapping[Way, Text] = {
    Way.WALLET: {"zh_hans": "放入卡包", "zh_hant": "放入卡包", "en": "Into the wallet"},
    Way.COURIER: {"zh_hans": "快递送货", "zh_hant": "快遞送貨", "en": "By courier"},
    Way.PICKUP: {"zh_hans": "网点自提", "zh_hant": "分行自取", "en": "Pickup at a branch"},
}
"""What customers read of each way."""

WAYS_OF_GOODS = (Way.COURIER, Way.PICKUP)

DELIVERABLE: frozenset[RewardKind] = frozenset({RewardKind.E_VOUCHER, RewardKind.GOODS})
"""Kinds that fulfillment can hand out. Others may be planned as rewards; an offer of them would be a promise nobody keeps."""

CATEGORIES: Mapping[str, Text] = {
    "electronics": {"zh_hans": "数码电子", "zh_hant": "數碼電子", "en": "Electronics"},
    "home": {"zh_hans": "家居生活", "zh_hant": "家居生活", "en": "Home"},
    "appliances": {"zh_hans": "家用电器", "zh_hant": "家用電器", "en": "Appliances"},
    "fashion": {"zh_hans": "服饰美妆", "zh_hant": "服飾美妝", "en": "Fashion and beauty"},
    "dining": {"zh_hans": "餐饮美食", "zh_hant": "餐飲美食", "en": "Dining"},
    "shopping": {"zh_hans": "商超购物", "zh_hant": "商超購物", "en": "Shopping"},
    "travel": {"zh_hans": "旅行出行", "zh_hant": "旅行出行", "en": "Travel"},
    "fuel": {"zh_hans": "加油充电", "zh_hant": "加油充電", "en": "Fuel and charging"},
}
"""The categories of rewards (K1), in the order in which they are shown."""

BUDGET_LINES = ("promotion_online", "promotion_offline", "procurement", "logistics", "service", "other")
"""The lines of a campaign's budget (C5)."""

REWARD_COST_LINE = "procurement"
"""The budget line that pays for rewards: a reservation commits the unit cost of what it takes here."""


class CampaignState(StrEnum):
    """Where a campaign stands (C1)."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


PUBLISHABLE = frozenset({CampaignState.DRAFT, CampaignState.APPROVED, CampaignState.LIVE, CampaignState.PAUSED})
"""States in which a version may be put in force. The check by a second person belongs before this step."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a campaign says of itself. It is open on both of its days, to 23:59:59 in the bank's time zone."""

    code: str
    names: Text
    descriptions: Text
    theme: str
    opens_on: date
    closes_on: date
    currency: str
    """ISO 4217; every amount of the campaign is in its minor unit."""
    sample: bool
    """Made up, for trials and demonstrations."""


@dataclass(frozen=True, slots=True)
class Voucher:
    """What a voucher is worth, how long and where."""

    face_value_minor: int
    valid_days: int
    """Days from the day of issue; the last one counts to 23:59:59 in the bank's time zone."""
    merchants: tuple[str, ...]
    terms: Text


@dataclass(frozen=True, slots=True)
class Reward:
    """Something that customers can get (K1)."""

    code: str
    kind: RewardKind
    category: str
    names: Text
    descriptions: Text
    features: Text | None
    brand: str | None
    model: str | None
    market_value_minor: int
    unit_cost_minor: int
    """What one unit costs the bank; a reservation commits it to the budget. Never shown to customers."""
    image: str | None
    supplier: str | None
    lead_time_days: int
    delivery: tuple[Way, ...]
    """How it can reach the customer; nothing for what cannot be handed out yet."""
    voucher: Voucher | None
    """Present exactly when the reward is a voucher."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many units one customer may redeem of an offer; None means no limit. Redemption enforces them."""

    per_customer: int | None
    per_day: int | None


@dataclass(frozen=True, slots=True)
class Quota:
    """How many units all customers together may redeem of an offer; None means no quota. The reservation enforces it."""

    total: int | None
    per_day: int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A reward in a campaign at a price in points (K2). Open on both of its days, to 23:59:59 in the bank's time zone."""

    code: str
    reward: str
    price_points: int
    limits: Limits
    quota: Quota
    opens_on: date
    closes_on: date


@dataclass(frozen=True, slots=True)
class Batch:
    """Units of a reward that came together (K7); `expires_on` is the last day on which they may be handed out."""

    code: str
    reward: str
    quantity: int
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """How much a campaign may spend on one thing (C5)."""

    line: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that one version of a campaign says."""

    campaign: Campaign
    rewards: tuple[Reward, ...]
    offers: tuple[Offer, ...]
    batches: tuple[Batch, ...]
    merchants: tuple[Merchant, ...]
    terminals: tuple[Terminal, ...]
    budget: tuple[BudgetLine, ...]


def ways_of(content: Mapping[str, Any]) -> list[str]:
    """The ways of delivery in the content of an offer's version; before there were any, only e-vouchers were offered."""
    ways: list[str] = content["reward"].get("delivery", [Way.WALLET.value])
    return ways


def offer_id(campaign: str, offer: str) -> UUID:
    """The id of an offer follows from the two codes, so that loading a workbook twice names the same offers."""
    return uuid5(_NAMESPACE, f"offer/{campaign}/{offer}")


def batch_id(campaign: str, batch: str) -> UUID:
    """The id of a stock batch follows from the two codes."""
    return uuid5(_NAMESPACE, f"batch/{campaign}/{batch}")


class CampaignNotFound(DomainError):
    """There is no such campaign."""


class VersionNotFound(DomainError):
    """There is no such version of the campaign."""


class OfferNotFound(DomainError):
    """There is no such offer."""


class CampaignNotPublishable(DomainError):
    """In its present state no version of the campaign can be put in force."""


class OlderVersion(DomainError):
    """A newer version of the campaign is in force already."""


class BatchNotInVersion(DomainError):
    """A batch that has stock is left out of the version, or belongs to another reward there."""


class CeilingBelowTaken(DomainError):
    """The version allows less than has been taken already: of stock, of a quota or of a budget line."""
