"""What is asked for and what is shown when somebody looks through the offers; it depends on no customer (K9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.catalog.campaigns.domain import CATEGORIES, WAYS, Way, ways_of
from shared.languages import Language

FEW_UNITS = 20
"""Up to this many left is `few`: the exact number would change with every redemption and help nobody but a scalper."""

Remaining = Literal["many", "few", "none"]


@dataclass(frozen=True, slots=True)
class OfferQuery:
    """Which offers of a campaign, by price upwards; `after` is the place in the list at which the last page ended."""

    category: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    words: str | None = None
    """A tsquery; see campaigns/words.py."""
    after: tuple[int, str] | None = None
    limit: int = 20


def remaining_of(units: int) -> Remaining:
    """How much is left, in coarse steps."""
    return "none" if units <= 0 else "few" if units <= FEW_UNITS else "many"


def listed(content: Mapping[str, Any], language: Language, remaining: Remaining) -> dict[str, Any]:
    """An offer in a list, in one language."""
    reward, voucher, delivery = content["reward"], content["voucher"], ways_of(content)
    return {
        "id": content["offer_id"],
        "version": content["version"],
        "campaign": content["campaign"],
        "code": content["code"],
        "name": reward["names"][language],
        "kind": reward["kind"],
        "category": reward["category"],
        "category_name": CATEGORIES[reward["category"]][language],
        "brand": reward["brand"],
        "image": reward["image"],
        "delivery": delivery,
        "delivery_names": [WAYS[Way(way)][language] for way in delivery],
        "price_points": content["price_points"],
        "market_value": reward["market_value"],
        "face_value": _face_value(voucher),
        "limits": content["limits"],
        "opens_on": content["opens_on"],
        "closes_on": content["closes_on"],
        "remaining": remaining,
    }


def detailed(content: Mapping[str, Any], language: Language, remaining: Remaining) -> dict[str, Any]:
    """One offer with everything there is to read, in one language."""
    reward, voucher = content["reward"], content["voucher"]
    return {
        **listed(content, language, remaining),
        "description": reward["descriptions"][language],
        "features": None if reward["features"] is None else reward["features"][language],
        "model": reward["model"],
        "lead_time_days": reward["lead_time_days"],
        "voucher": None
        if voucher is None
        else {
            "face_value": _face_value(voucher),
            "valid_days": voucher["valid_days"],
            "merchants": voucher["merchants"],
            "terms": voucher["terms"][language],
        },
    }


def _face_value(voucher: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if voucher is None else {"amount_minor": voucher["face_value_minor"], "currency": voucher["currency"]}
