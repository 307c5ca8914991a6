"""Builds the sample campaign workbook from the tables beside it: `python -m samples.build`.

The campaign is made up and says so. Its days run to the end of 2027, so that it is open whenever somebody tries it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samples.goods import GOODS_BY_CATEGORY, SUPPLIERS, Goods
from samples.merchants import SHOPS, TILL_LOCATION, Shop
from samples.rewards import BY_CATEGORY, Three, Voucher
from services.catalog.workbooks.sheets import Cells
from services.catalog.workbooks.writing import write_workbook
from shared.languages import LANGUAGES

SHOPS_BY_CODE = {shop.code: shop for shop in SHOPS}
WORKBOOK = Path(__file__).parent / "autumn-campaign.xlsx"

CODE = "AUTUMN-2026"
NAMES: Three = ("金秋礼遇 2026", "金秋禮遇 2026", "Autumn Rewards 2026")
DESCRIPTIONS: Three = (
    "用积分兑换餐饮、购物、出行等六十种礼券，以及十二种可送货或到网点自提的商品。本活动为样例数据，商户与优惠均属虚构。",
    "用積分兌換餐飲、購物、出行等六十種禮券，以及十二種可送貨或到分行自取的商品。本活動為範例資料，商戶與優惠均屬虛構。",
    "Exchange points for sixty vouchers, from dining to travel, and for twelve goods that are delivered or wait at a branch. "
    "This is sample data: shops and benefits are made up.",
)
OPENS_ON, CLOSES_ON = "2026-09-01", "2027-12-31"
CONTRACT_FROM, CONTRACT_UNTIL = "2026-07-01", "2028-12-31"
FIRST_BATCH_EXPIRES_ON = "2027-06-30"
SECOND_BATCH_EXPIRES_ON = "2027-12-31"
COST_PERCENT = 85
"""What the bank pays a merchant for a voucher, of its face value."""
GOODS_COST_PERCENT = 78
"""What the bank pays a supplier for goods, of their value."""
PROMOTION_MINOR = {"promotion_online": 30_000_000, "promotion_offline": 15_000_000, "service": 8_000_000}

TERMS: Three = (
    "自发放之日起 {days} 天内有效；每张限用一次，不找零、不兑现；请在付款前出示券码。",
    "自發放之日起 {days} 天內有效；每張限用一次，不找零、不兌現；請在付款前出示券碼。",
    "Valid for {days} days from issue. One use, no change and no cash. Show the code before you pay.",
)


def sample_cells() -> Cells:
    """The rows of every sheet."""
    return {
        "campaign": [_campaign()],
        "rewards": list(_rewards()),
        "offers": list(_offers()),
        "stock_batches": list(_batches()),
        "merchants": list(_merchants()),
        "terminals": list(_terminals()),
        "budget": list(_budget()),
    }


def _three(name: str, texts: Three, **facts: Any) -> dict[str, str]:
    return {
        f"{name}_{language}": text.format(**facts) if facts else text for language, text in zip(LANGUAGES, texts, strict=True)
    }


def _campaign() -> dict[str, Any]:
    return {
        "code": CODE,
        **_three("name", NAMES),
        **_three("description", DESCRIPTIONS),
        "theme": "autumn",
        "opens_on": OPENS_ON,
        "closes_on": CLOSES_ON,
        "currency": "CNY",
        "sample": "yes",
    }


def _numbered() -> Iterator[tuple[int, str, Voucher | Goods]]:
    """Every reward with its number and category: vouchers R001 to R060, goods R061 to R072."""
    every: list[tuple[str, Voucher | Goods]] = [(category, one) for category, found in BY_CATEGORY.items() for one in found]
    every += [(category, one) for category, found in GOODS_BY_CATEGORY.items() for one in found]
    for number, (category, reward) in enumerate(every, start=1):
        yield number, category, reward


def _cost_minor(reward: Voucher | Goods) -> int:
    return reward.yuan * (COST_PERCENT if isinstance(reward, Voucher) else GOODS_COST_PERCENT)


def _rewards() -> Iterator[dict[str, Any]]:
    for number, category, reward in _numbered():
        yield {
            "code": f"R{number:03}",
            "kind": "e_voucher" if isinstance(reward, Voucher) else "goods",
            "category": category,
            **_three("name", reward.name),
            **_three("description", reward.description),
            "market_value_minor": reward.yuan * 100,
            "unit_cost_minor": _cost_minor(reward),
            "image": f"/images/rewards/R{number:03}.webp",
            **(_of_voucher(reward) if isinstance(reward, Voucher) else _of_goods(reward, SHOPS_BY_CODE[SUPPLIERS[category]])),
        }


def _of_voucher(voucher: Voucher) -> dict[str, Any]:
    return {
        **dict.fromkeys(f"features_{language}" for language in LANGUAGES),
        "brand": None,
        "model": None,
        "supplier": SHOPS_BY_CODE[voucher.merchants.split(";")[0]].names[0],
        "lead_time_days": 0,
        "delivery": None,
        "face_value_minor": voucher.yuan * 100,
        "valid_days": voucher.valid_days,
        "merchants": voucher.merchants,
        **_three("terms", TERMS, days=voucher.valid_days),
    }


def _of_goods(goods: Goods, supplier: Shop) -> dict[str, Any]:
    return {
        **_three("features", goods.features),
        "brand": supplier.names[2],
        "model": goods.model,
        "supplier": supplier.names[0],
        "lead_time_days": goods.lead_time_days,
        "delivery": goods.delivery,
        **dict.fromkeys(("face_value_minor", "valid_days", "merchants")),
        **dict.fromkeys(f"terms_{language}" for language in LANGUAGES),
    }


def _offers() -> Iterator[dict[str, Any]]:
    for number, _, reward in _numbered():
        yield {
            "code": f"O{number:03}",
            "reward": f"R{number:03}",
            "price_points": reward.points,
            "limit_per_customer": reward.per_customer,
            "limit_per_day": reward.per_day,
            "quota_total": None,
            "quota_per_day": reward.quota_per_day,
            "opens_on": None,
            "closes_on": None,
        }


def _batches() -> Iterator[dict[str, Any]]:
    """Vouchers in two batches, the second for when the first is used up or past its day; goods in one that does not expire."""
    for number, _, reward in _numbered():
        first = reward.units * 6 // 10
        two = [("A", first, FIRST_BATCH_EXPIRES_ON), ("B", reward.units - first, SECOND_BATCH_EXPIRES_ON)]
        for part, quantity, expires_on in two if isinstance(reward, Voucher) else [("A", reward.units, None)]:
            yield {
                "code": f"B{number:03}{part}",
                "reward": f"R{number:03}",
                "quantity": quantity,
                "expires_on": expires_on,
            }


def _merchants() -> Iterator[dict[str, Any]]:
    for shop in SHOPS:
        yield {
            "code": shop.code,
            **_three("name", shop.names),
            "category_code": shop.category_code,
            **_three("address", shop.address),
            "accepts_vouchers": "yes",
            "accepts_spend": "yes",
            "contract_from": CONTRACT_FROM,
            "contract_until": CONTRACT_UNTIL,
        }


def _terminals() -> Iterator[dict[str, Any]]:
    for shop in SHOPS:
        for number in range(1, shop.tills + 1):
            location = TILL_LOCATION.format(number=number)
            yield {"merchant": shop.code, "code": f"T{number:02}", "location": location}


def _budget() -> Iterator[dict[str, Any]]:
    """Rewards are budgeted in full: the stock runs out before the money does."""
    procurement = sum(_cost_minor(reward) * reward.units for _, _, reward in _numbered())
    for line, amount in {**PROMOTION_MINOR, "procurement": procurement}.items():
        yield {"line": line, "amount_minor": amount}


def main() -> None:
    """Write the workbook beside this file."""
    WORKBOOK.write_bytes(write_workbook(sample_cells()))
    print(WORKBOOK.name)


if __name__ == "__main__":
    main()
