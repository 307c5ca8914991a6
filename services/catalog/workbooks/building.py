"""From checked rows to the campaign's content in words of the domain."""

import hashlib
import json
from datetime import date

from services.catalog.campaigns.domain import (
    WAYS_OF_GOODS,
    Batch,
    BudgetLine,
    Campaign,
    Content,
    Limits,
    Offer,
    Quota,
    Reward,
    RewardKind,
    Voucher,
    Way,
)
from services.catalog.merchants.domain import Merchant, Terminal
from services.catalog.workbooks.cells import split_codes
from services.catalog.workbooks.sheets import SHEETS, Cells, Row
from shared.languages import LANGUAGES, Text

_OPTIONAL = {sheet.name: {column.name for column in sheet.columns if column.optional} for sheet in SHEETS}


def build_content(cells: Cells) -> Content:
    """The content that checked rows describe. Rows with errors never come here."""
    campaign = _campaign(cells["campaign"][0])
    return Content(
        campaign=campaign,
        rewards=tuple(_reward(row) for row in cells["rewards"]),
        offers=tuple(_offer(row, campaign) for row in cells["offers"]),
        batches=tuple(_batch(row) for row in cells["stock_batches"]),
        merchants=tuple(_merchant(row) for row in cells["merchants"]),
        terminals=tuple(Terminal(_s(row, "merchant"), _s(row, "code"), _s(row, "location")) for row in cells["terminals"]),
        budget=tuple(BudgetLine(_s(row, "line"), _i(row, "amount_minor")) for row in cells["budget"]),
    )


def fingerprint(cells: Cells) -> bytes:
    """SHA-256 of the rows: equal workbooks have equal fingerprints, however the file was packed.

    An optional column that is empty counts as absent: a workbook that was loaded before there was such a column stays known.
    """
    said = {sheet: [_said(sheet, row) for row in rows] for sheet, rows in cells.items()}
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).digest()


def _said(sheet: str, row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None or name not in _OPTIONAL[sheet]}


def _s(row: Row, name: str) -> str:
    value = row[name]
    assert isinstance(value, str), name
    return value


def _i(row: Row, name: str) -> int:
    value = row[name]
    assert isinstance(value, int), name
    return value


def _text_or_none(row: Row, name: str) -> str | None:
    return None if row[name] is None else _s(row, name)


def _whole_or_none(row: Row, name: str) -> int | None:
    return None if row[name] is None else _i(row, name)


def _day(row: Row, name: str) -> date:
    return date.fromisoformat(_s(row, name))


def _day_or(row: Row, name: str, otherwise: date) -> date:
    return otherwise if row[name] is None else _day(row, name)


def _three(row: Row, name: str) -> Text:
    return {language: _s(row, f"{name}_{language}") for language in LANGUAGES}


def _campaign(row: Row) -> Campaign:
    return Campaign(
        code=_s(row, "code"),
        names=_three(row, "name"),
        descriptions=_three(row, "description"),
        theme=_s(row, "theme"),
        opens_on=_day(row, "opens_on"),
        closes_on=_day(row, "closes_on"),
        currency=_s(row, "currency"),
        sample=row["sample"] == "yes",
    )


def _reward(row: Row) -> Reward:
    kind = RewardKind(_s(row, "kind"))
    return Reward(
        code=_s(row, "code"),
        kind=kind,
        category=_s(row, "category"),
        names=_three(row, "name"),
        descriptions=_three(row, "description"),
        features=None if row["features_en"] is None else _three(row, "features"),
        brand=_text_or_none(row, "brand"),
        model=_text_or_none(row, "model"),
        market_value_minor=_i(row, "market_value_minor"),
        unit_cost_minor=_i(row, "unit_cost_minor"),
        image=_text_or_none(row, "image"),
        supplier=_text_or_none(row, "supplier"),
        lead_time_days=_i(row, "lead_time_days"),
        delivery=_delivery(kind, row),
        voucher=None if kind is RewardKind.GOODS else _voucher(row),
    )


def _delivery(kind: RewardKind, row: Row) -> tuple[Way, ...]:
    """Goods go every way of goods when the workbook says nothing; paper vouchers go none yet."""
    if kind is RewardKind.GOODS:
        said = row.get("delivery")
        chosen = WAYS_OF_GOODS if said is None else split_codes(str(said))
        return tuple(way for way in WAYS_OF_GOODS if way in chosen)
    return (Way.WALLET,) if kind is RewardKind.E_VOUCHER else ()


def _voucher(row: Row) -> Voucher:
    return Voucher(
        face_value_minor=_i(row, "face_value_minor"),
        valid_days=_i(row, "valid_days"),
        merchants=tuple(dict.fromkeys(split_codes(_s(row, "merchants")))),
        terms=_three(row, "terms"),
    )


def _offer(row: Row, campaign: Campaign) -> Offer:
    return Offer(
        code=_s(row, "code"),
        reward=_s(row, "reward"),
        price_points=_i(row, "price_points"),
        limits=Limits(_whole_or_none(row, "limit_per_customer"), _whole_or_none(row, "limit_per_day")),
        quota=Quota(_whole_or_none(row, "quota_total"), _whole_or_none(row, "quota_per_day")),
        opens_on=_day_or(row, "opens_on", campaign.opens_on),
        closes_on=_day_or(row, "closes_on", campaign.closes_on),
    )


def _batch(row: Row) -> Batch:
    expires_on = None if row["expires_on"] is None else _day(row, "expires_on")
    return Batch(_s(row, "code"), _s(row, "reward"), _i(row, "quantity"), expires_on)


def _merchant(row: Row) -> Merchant:
    return Merchant(
        code=_s(row, "code"),
        names=_three(row, "name"),
        category_code=_s(row, "category_code"),
        address=_three(row, "address"),
        accepts_vouchers=row["accepts_vouchers"] == "yes",
        accepts_spend=row["accepts_spend"] == "yes",
        contract_from=_day(row, "contract_from"),
        contract_until=_day(row, "contract_until"),
    )
