"""What a version keeps of each offer, and what may change from one version to the next."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.catalog.campaigns.domain import CATEGORIES, Campaign, Content, Offer, Reward, offer_id
from services.catalog.campaigns.words import words_of
from services.catalog.workbooks.domain import Parsed
from services.catalog.workbooks.errors import WorkbookError


@dataclass(frozen=True, slots=True)
class OfferInVersion:
    """One offer as a version says it: what is shown and sold, what it costs the bank, and the words that find it."""

    id: UUID
    offer: Offer
    reward: Reward
    content: Mapping[str, Any]

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of everything that, changed, makes a new version of the offer."""
        whole = [self.content, self.reward.unit_cost_minor]
        return hashlib.sha256(json.dumps(whole, ensure_ascii=False, sort_keys=True).encode()).digest()

    @property
    def words(self) -> list[str]:
        """What the offer can be found by, in every language."""
        reward = self.reward
        texts = [*reward.names.values(), *reward.descriptions.values(), *CATEGORIES[reward.category].values()]
        texts += [*(reward.features or {}).values(), reward.brand or "", reward.model or "", reward.code, self.offer.code]
        return words_of(texts)


@dataclass(frozen=True, slots=True)
class Standing:
    """What earlier versions have fixed: the campaign's currency, each offer's reward, each batch's reward."""

    currency: str | None
    offers: Mapping[str, str]
    batches: Mapping[str, str]


def offers_of(content: Content) -> list[OfferInVersion]:
    """Every offer of a version with its reward."""
    rewards = {reward.code: reward for reward in content.rewards}
    campaign = content.campaign
    return [
        OfferInVersion(
            offer_id(campaign.code, offer.code), offer, rewards[offer.reward], _content(campaign, offer, rewards[offer.reward])
        )
        for offer in content.offers
    ]


def _content(campaign: Campaign, offer: Offer, reward: Reward) -> dict[str, Any]:
    """What the other services and the app are told of an offer; days are the bank's and count to 23:59:59."""
    return {
        "offer_id": str(offer_id(campaign.code, offer.code)),
        "campaign": campaign.code,
        "code": offer.code,
        "price_points": offer.price_points,
        "limits": {"per_customer": offer.limits.per_customer, "per_day": offer.limits.per_day},
        "opens_on": offer.opens_on.isoformat(),
        "closes_on": offer.closes_on.isoformat(),
        "reward": {
            "code": reward.code,
            "kind": reward.kind.value,
            "category": reward.category,
            "names": dict(reward.names),
            "descriptions": dict(reward.descriptions),
            "features": None if reward.features is None else dict(reward.features),
            "brand": reward.brand,
            "model": reward.model,
            "image": reward.image,
            "lead_time_days": reward.lead_time_days,
            "delivery": [way.value for way in reward.delivery],
            "market_value": {"amount_minor": reward.market_value_minor, "currency": campaign.currency},
        },
        "voucher": _voucher(reward, campaign.currency),
    }


def _voucher(reward: Reward, currency: str) -> dict[str, Any] | None:
    if reward.voucher is None:
        return None
    return {
        "face_value_minor": reward.voucher.face_value_minor,
        "currency": currency,
        "valid_days": reward.voucher.valid_days,
        "merchants": list(reward.voucher.merchants),
        "terms": dict(reward.voucher.terms),
    }


def errors_against(parsed: Parsed, standing: Standing) -> list[WorkbookError]:
    """What the rows would change that cannot change: reservations and stock hang on it."""
    cells = parsed.cells
    errors: list[WorkbookError] = []
    currency = cells["campaign"][0]["currency"]
    if standing.currency not in (None, currency):
        row = parsed.numbers["campaign"][0]
        errors.append(WorkbookError("currency-changed", "campaign", row, "currency", {"currency": standing.currency}))
    errors += _moved(parsed, "offers", standing.offers, "reward-changed")
    errors += _moved(parsed, "stock_batches", standing.batches, "batch-reward-changed")
    kept = {row["code"] for row in cells["stock_batches"]}
    errors += [
        WorkbookError("batch-missing", "stock_batches", None, "code", {"batch": batch})
        for batch in sorted(standing.batches.keys() - kept)
    ]
    return errors


def _moved(parsed: Parsed, sheet: str, standing: Mapping[str, str], code: str) -> Iterable[WorkbookError]:
    for number, row in zip(parsed.numbers[sheet], parsed.cells[sheet], strict=True):
        before = standing.get(str(row["code"]))
        if before is not None and before != row["reward"]:
            yield WorkbookError(code, sheet, number, "reward", {"reward": before})
