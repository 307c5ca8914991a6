"""What a merchant and its terminals are (K10)."""

from dataclasses import dataclass
from datetime import date

from shared.languages import Text


@dataclass(frozen=True, slots=True)
class Merchant:
    """A partner shop. The contract covers both of its days, to 23:59:59 in the bank's time zone."""

    code: str
    names: Text
    category_code: str
    """Four digits, as card schemes number kinds of shop (ISO 18245)."""
    address: Text
    accepts_vouchers: bool
    accepts_spend: bool
    contract_from: date
    contract_until: date


@dataclass(frozen=True, slots=True)
class Terminal:
    """A till of a merchant; its code is unique within the merchant."""

    merchant: str
    code: str
    location: str
