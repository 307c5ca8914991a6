"""What is loaded before anything is measured: campaigns, customers with points, merchants. All of it is made up."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from services.catalog.campaigns.domain import offer_id
from services.catalog.workbooks.sheets import Cells
from services.catalog.workbooks.writing import write_workbook
from shared.languages import LANGUAGES

CUSTOMERS = 5_000
"""Enough that two of them seldom meet in one set, few enough that most tokens have been seen in the last minute."""
LOTS = ((1_000_000, 60), (500_000_000, 365), (1_000_000, 700))
"""Each customer's lots: points, and days until they expire."""
PRICE_POINTS = 100

MAIN, MAIN_OFFERS = "MAIN", 60
HOT = "HOT"
MANY, MANY_OFFERS = tuple(f"MANY-{number:03}" for number in range(1, 101)), 10
MERCHANTS, TILLS = 20, 5

PLENTY = 10_000_000
MONEY_MINOR = 1_000_000_000_000
OPENS_ON, CLOSES_ON = "2026-01-01", "2036-12-31"
FIRST_PHONE = 442_079_460_000  # one of a thousand numbers that reach nobody; customers share them here


def workbooks() -> Iterator[bytes]:
    """One campaign of sixty offers, one of a single offer, and a hundred of ten."""
    for code, offers in ((MAIN, MAIN_OFFERS), (HOT, 1), *((code, MANY_OFFERS) for code in MANY)):
        yield write_workbook(_cells(code, offers))


def offers_of(campaign: str, offers: int) -> list[tuple[str, str]]:
    """(campaign, offer id) of a campaign's offers."""
    return [(campaign, str(offer_id(campaign, f"O{number:03}"))) for number in range(1, offers + 1)]


def main_offers() -> list[tuple[str, str]]:
    """The sixty offers of one campaign."""
    return offers_of(MAIN, MAIN_OFFERS)


def many_offers() -> list[tuple[str, str]]:
    """A thousand offers of a hundred campaigns."""
    return [offer for campaign in MANY for offer in offers_of(campaign, MANY_OFFERS)]


def subject(number: int) -> str:
    """Whom a customer signs in as."""
    return f"customer-{number:05}"


def tills() -> list[tuple[str, str]]:
    """(merchant, terminal) of every till."""
    return [(f"M{m:03}", f"T{t:02}") for m in range(1, MERCHANTS + 1) for t in range(1, TILLS + 1)]


def feeds(today: date) -> list[tuple[str, str, bytes]]:
    """(kind, name, content) of the files that bring customers and points."""
    numbers = range(1, CUSTOMERS + 1)
    people = "".join(
        f"C{n:05},{subject(n)},Customer {n:05},+{FIRST_PHONE + n % 1000},classic,{LANGUAGES[n % 3]}\n" for n in numbers
    )
    found = [("customers", "customers", f"customer_number,subject,name,phone,tier,language\n{people}".encode())]
    for lot, (points, days) in enumerate(LOTS):
        until = (today + timedelta(days=days)).isoformat()
        lines = "".join(f"C{n:05},{points},{until},lot-{lot}-{n}\n" for n in numbers)
        total = f"#total,{CUSTOMERS},{CUSTOMERS * points}\n"
        content = f"customer_number,points,expires_on,reference\n{lines}{total}".encode()
        found.append(("opening-balances", f"opening-{lot}", content))
    return found


def _three(name: str, text: str) -> dict[str, str]:
    return {f"{name}_{language}": text for language in LANGUAGES}


def _cells(code: str, offers: int) -> Cells:
    numbers = range(1, offers + 1)
    merchants = [f"M{number:03}" for number in range(1, MERCHANTS + 1)]
    campaign = {
        "code": code, **_three("name", f"Campaign {code}"), **_three("description", "积分兑换 " * 20), "theme": "plain",
        "opens_on": OPENS_ON, "closes_on": CLOSES_ON, "currency": "CNY", "sample": "yes",
    }  # fmt: skip
    cells: Cells = {
        "campaign": [campaign],
        "rewards": [_reward(number, merchants) for number in numbers],
        "offers": [
            {
                "code": f"O{number:03}", "reward": f"R{number:03}", "price_points": PRICE_POINTS, "limit_per_customer": PLENTY,
                "limit_per_day": PLENTY, "quota_total": PLENTY, "quota_per_day": PLENTY, "opens_on": None, "closes_on": None,
            }
            for number in numbers
        ],
        "stock_batches": [
            {"code": f"B{number:03}{part}", "reward": f"R{number:03}", "quantity": PLENTY, "expires_on": until}
            for number in numbers
            for part, until in (("A", "2035-12-31"), ("B", CLOSES_ON))
        ],
        "merchants": [
            {
                "code": merchant, **_three("name", f"商户 {merchant}"), "category_code": "5812", **_three("address", "一号路"),
                "accepts_vouchers": "yes", "accepts_spend": "yes", "contract_from": OPENS_ON, "contract_until": CLOSES_ON,
            }
            for merchant in merchants
        ],
        "terminals": [{"merchant": merchant, "code": terminal, "location": "收银台"} for merchant, terminal in tills()],
        "budget": [{"line": "procurement", "amount_minor": MONEY_MINOR}],
    }  # fmt: skip
    return cells


def _reward(number: int, merchants: list[str]) -> dict[str, Any]:
    return {
        "code": f"R{number:03}", "kind": "e_voucher", "category": "dining", **_three("name", f"礼品 {number:03} 电子券"),
        **_three("description", "一杯热饮，凭券在任一门店使用。" * 4), **_three("features", "全国可用"), "brand": None,
        "model": None, "market_value_minor": 1_000, "unit_cost_minor": 10, "image": f"/images/R{number:03}.webp",
        "supplier": "样例供应商", "lead_time_days": 0, "face_value_minor": 1_000, "valid_days": 365,
        "merchants": ";".join(merchants), **_three("terms", "自发放之日起有效；每张限用一次，不找零、不兑现。" * 2),
    }  # fmt: skip
