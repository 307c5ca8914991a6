"""Checks across cells, rows and sheets: what is unique, what refers to what, what fits together."""

from collections.abc import Iterator

from services.catalog.campaigns.domain import DELIVERABLE, RewardKind
from services.catalog.workbooks.cells import split_codes
from services.catalog.workbooks.errors import ERRORS_MAX, WorkbookError
from services.catalog.workbooks.reading import Reading
from services.catalog.workbooks.sheets import SHEETS, Cell, Column, Kind, Row
from shared.languages import LANGUAGES

VOUCHER_COLUMNS = ("face_value_minor", "valid_days", "merchants", *(f"terms_{language}" for language in LANGUAGES))
# Where the codes of a sheet could not be read, nothing that refers to them is called unknown.
_CODES_UNREAD = ("sheet-missing", "column-missing", "too-many-rows", "too-many-columns")
_ORDER = {sheet.name: place for place, sheet in enumerate(SHEETS)}


def all_errors(reading: Reading) -> list[WorkbookError]:
    """Every error of the workbook at once, in the order of sheets, rows and columns (C6)."""
    if not reading.rows:  # the file itself cannot be read
        return reading.errors
    across = [*_twice(reading), *_references(reading), *_campaign(reading), *_merchants(reading)]
    across += [*_rewards(reading), *_offers(reading)]
    found = [*reading.errors, *_without_echoes(reading.errors, across)]
    found.sort(key=_place)
    if len(found) > ERRORS_MAX:
        found = [*found[:ERRORS_MAX], WorkbookError("too-many-errors", facts={"count": len(found) - ERRORS_MAX})]
    return found


def _without_echoes(own: list[WorkbookError], across: list[WorkbookError]) -> Iterator[WorkbookError]:
    """A cell that could not be read is empty, and a missing column too: what follows from that alone is no second error."""
    cells = {(error.sheet, error.row, error.column) for error in own}
    columns = {(error.sheet, error.column) for error in own if error.code == "column-missing"}
    for error in across:
        if (error.sheet, error.row, error.column) not in cells and (error.sheet, error.column) not in columns:
            yield error


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
            if None in key:
                continue
            if key in first:
                yield WorkbookError("twice", sheet.name, number, sheet.key[-1], {"first": first[key]})
            first.setdefault(key, number)


def _references(reading: Reading) -> Iterator[WorkbookError]:
    codes = {sheet.name: {row.get("code") for row in reading.rows[sheet.name]} for sheet in SHEETS}
    unread = {error.sheet for error in reading.errors if error.code in _CODES_UNREAD and error.column in (None, "code")}
    for sheet in SHEETS:
        for column in sheet.columns:
            if column.references is not None and column.references not in unread:
                for number, row in _numbered(reading, sheet.name):
                    yield from _unknown(sheet.name, column, number, row[column.name], codes[column.references])


def _unknown(sheet: str, column: Column, number: int, value: Cell, known: set[Cell]) -> Iterator[WorkbookError]:
    if isinstance(value, str):
        for code in split_codes(value) if column.kind is Kind.CODES else [value]:
            if code not in known:
                facts = {"target": column.references, "value": code}
                yield WorkbookError("unknown-reference", sheet, number, column.name, facts)


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
        for column in VOUCHER_COLUMNS if row["kind"] is not None else ():
            if goods and row[column] is not None:
                yield WorkbookError("not-for-goods", "rewards", number, column)
            if not goods and row[column] is None:
                yield WorkbookError("needed-for-voucher", "rewards", number, column)
        if row["kind"] not in (None, RewardKind.GOODS) and row["delivery"] is not None:
            yield WorkbookError("only-for-goods", "rewards", number, "delivery")
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
            if campaign is not None and _is_outside(campaign, row[column]):
                yield WorkbookError("outside-campaign", "offers", number, column)


def _is_outside(campaign: Row, day: Cell) -> bool:
    first, last = campaign["opens_on"], campaign["closes_on"]
    known = isinstance(day, str) and isinstance(first, str) and isinstance(last, str)
    return known and not str(first) <= str(day) <= str(last)
