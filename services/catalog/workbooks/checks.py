"""Checks across cells, rows and sheets: what is unique, what refers to what, what fits together."""

from collections.abc import Iterator

from services.catalog.campaigns.domain import DELIVERABLE, RewardKind
from services.catalog.workbooks.cells import split_codes
from services.catalog.workbooks.errors import ERRORS_MAX, WorkbookError
from services.catalog.workbooks.reading import Reading
from services.catalog.workbooks.sheets import SHEETS, Cell, Kind, Row, Sheet
from shared.languages import LANGUAGES

VOUCHER_COLUMNS = ("face_value_minor", "valid_days", "merchants", *(f"terms_{language}" for language in LANGUAGES))
_ORDER = {sheet.name: place for place, sheet in enumerate(SHEETS)}


def all_errors(reading: Reading) -> list[WorkbookError]:
    """Every error of the workbook at once, in the order of sheets, rows and columns (C6)."""
    if not reading.rows:  # the file itself cannot be read
        return reading.errors
    found = [*reading.errors, *_twice(reading), *_references(reading), *_campaign(reading), *_merchants(reading)]
    found += [*_rewards(reading), *_offers(reading)]
    found.sort(key=_place)
    if len(found) > ERRORS_MAX:
        found = [*found[:ERRORS_MAX], WorkbookError("too-many-errors", facts={"count": len(found) - ERRORS_MAX})]
    return found


def _place(error: WorkbookError) -> tuple[int, int, int]:
    sheet = next((sheet for sheet in SHEETS if sheet.name == error.sheet), None)
    names = [column.name for column in sheet.columns] if sheet else []
    column = names.index(error.column) if error.column in names else -1
    return _ORDER.get(error.sheet or "", -1), error.row or 0, column


def _numbered(reading: Reading, sheet: str) -> Iterator[tuple[int, Row]]:
    return zip(reading.numbers[sheet], reading.rows[sheet], strict=True)


def _twice(reading: Reading) -> Iterator[WorkbookError]:
    for sheet in SHEETS:
        first: dict[tuple[Cell, ...], int] = {}
        for number, row in _numbered(reading, sheet.name):
            key = tuple(row[name] for name in sheet.key)
            if key in first:
                yield WorkbookError("twice", sheet.name, number, sheet.key[-1], {"first": first[key]})
            first.setdefault(key, number)


def _references(reading: Reading) -> Iterator[WorkbookError]:
    for sheet in SHEETS:
        for column in sheet.columns:
            if column.references is not None:
                for number, row in _numbered(reading, sheet.name):
                    yield from _unknown(reading, sheet, column.name, column.references, number, row)


def _unknown(reading: Reading, sheet: Sheet, column: str, target: str, number: int, row: Row) -> Iterator[WorkbookError]:
    value = row[column]
    if not isinstance(value, str):
        return
    many = sheet.column(column).kind is Kind.CODES
    for code in split_codes(value) if many else [value]:
        if code not in reading.codes[target]:
            yield WorkbookError("unknown-reference", sheet.name, number, column, {"target": target, "value": code})


def _campaign(reading: Reading) -> Iterator[WorkbookError]:
    yield from _reversed(reading, "campaign", "opens_on", "closes_on")


def _merchants(reading: Reading) -> Iterator[WorkbookError]:
    yield from _reversed(reading, "merchants", "contract_from", "contract_until")


def _reversed(reading: Reading, sheet: str, first: str, last: str) -> Iterator[WorkbookError]:
    for number, row in _numbered(reading, sheet):
        starts, ends = row[first], row[last]
        if isinstance(starts, str) and isinstance(ends, str) and ends < starts:  # ISO days sort as days
            yield WorkbookError("window-reversed", sheet, number, last)


def _rewards(reading: Reading) -> Iterator[WorkbookError]:
    refusing = {row["code"] for row in reading.rows["merchants"] if row["accepts_vouchers"] == "no"}
    for number, row in _numbered(reading, "rewards"):
        goods = row["kind"] == RewardKind.GOODS
        for column in VOUCHER_COLUMNS:
            if goods and row[column] is not None:
                yield WorkbookError("not-for-goods", "rewards", number, column)
            if not goods and row[column] is None:
                yield WorkbookError("needed-for-voucher", "rewards", number, column)
        features = [row[f"features_{language}"] for language in LANGUAGES]
        if None in features and any(features):
            yield WorkbookError("languages-incomplete", "rewards", number, f"features_{LANGUAGES[features.index(None)]}")
        for merchant in split_codes(str(row["merchants"] or "")):
            if merchant in refusing:
                facts = {"merchant": merchant}
                yield WorkbookError("merchant-without-vouchers", "rewards", number, "merchants", facts)


def _offers(reading: Reading) -> Iterator[WorkbookError]:
    yield from _reversed(reading, "offers", "opens_on", "closes_on")
    kinds = {row["code"]: row["kind"] for row in reading.rows["rewards"]}
    campaign = reading.rows["campaign"][0] if reading.rows["campaign"] else None
    for number, row in _numbered(reading, "offers"):
        if kinds.get(row["reward"]) not in (None, *DELIVERABLE):
            yield WorkbookError("not-deliverable", "offers", number, "reward")
        for column in ("opens_on", "closes_on"):
            if campaign is not None and row[column] is not None and not _inside(campaign, str(row[column])):
                yield WorkbookError("outside-campaign", "offers", number, column)


def _inside(campaign: Row, day: str) -> bool:
    return str(campaign["opens_on"]) <= day <= str(campaign["closes_on"])
