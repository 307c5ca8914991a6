"""Answers of the routes of merchants."""

from datetime import date

from pydantic import BaseModel


class TerminalView(BaseModel):
    """A till."""

    code: str
    location: str


class MerchantView(BaseModel):
    """A merchant with its tills; contract days are the bank's and count to 23:59:59."""

    code: str
    names: dict[str, str]
    category_code: str
    address: dict[str, str]
    accepts_vouchers: bool
    accepts_spend: bool
    contract_from: date
    contract_until: date
    terminals: list[TerminalView]


class MerchantsView(BaseModel):
    """Every merchant, by code."""

    items: list[MerchantView]
