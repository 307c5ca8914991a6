"""An offer at one of its versions: all that a redemption needs to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.languages import Text


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of an offer, as the catalog will always give it."""

    id: UUID
    version: int
    campaign: str
    reward: Mapping[str, Any]
    voucher: Mapping[str, Any] | None
    """What the reward's vouchers are worth, where and how long; None for a reward that is no voucher."""
    price_points: int
    per_customer: int | None
    per_day: int | None

    @property
    def names(self) -> Text:
        """What the reward is called."""
        names: Text = self.reward["names"]
        return names
