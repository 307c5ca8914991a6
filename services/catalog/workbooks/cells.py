"""One cell: from what the spreadsheet holds to what we keep, or the reason why not."""

import re
import unicodedata
from datetime import date, datetime, time

from services.catalog.workbooks.errors import WorkbookError
from services.catalog.workbooks.sheets import Cell, Column, Kind

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)

CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]*")
# Spreadsheets write unprintable characters as _x0000_; such text would not come back as it went in.
_ESCAPE = re.compile(r"x005F_|_x[0-9A-Fa-f]{4}_")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class CellRefused(Exception):
    """The cell does not hold what its column wants."""

    def __init__(self, code: str, **facts: object) -> None:
        self.code = code
        self.facts = facts


def read_cell(column: Column, value: object, data_type: str) -> Cell:
    """The value that we keep; None for an empty cell. Raises CellRefused.

    Text is trimmed and composed (NFC). Numbers are whole. Days are date cells, in the bank's time zone.
    """
    if data_type == "f":
        raise CellRefused("formula")
    if data_type == "e":
        raise CellRefused("cell-error", value=str(value)[:20])
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip() or None
    if value is None:
        if column.required:
            raise CellRefused("required")
        return None
    if column.kind is Kind.WHOLE:
        return _whole(column, value)
    if column.kind is Kind.DAY:
        return _day(value)
    return _text(column, value)


def _whole(column: Column, value: object) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise CellRefused("not-whole")
    if not column.low <= value <= column.high:
        raise CellRefused("out-of-range", low=column.low, high=column.high)
    return value


def _day(value: object) -> str:
    if isinstance(value, datetime) and value.time() == time(0):
        value = value.date()
    if isinstance(value, datetime) or not isinstance(value, date):
        raise CellRefused("not-a-day")
    if not FIRST_DAY <= value <= LAST_DAY:
        raise CellRefused("day-out-of-range")
    return value.isoformat()


def _text(column: Column, value: object) -> str:
    if not isinstance(value, str):
        raise CellRefused("not-text")
    if column.kind is Kind.CHOICE:
        if value not in column.choices:
            raise CellRefused("not-a-choice", choices=", ".join(column.choices))
        return value
    if column.kind is Kind.CHOICES:
        if not set(split_codes(value)) <= set(column.choices):
            raise CellRefused("not-some-choices", choices="; ".join(column.choices))
        return value
    if len(value) > column.high:
        raise CellRefused("too-long", most=column.high)
    if not is_printable(value):
        raise CellRefused("bad-characters")
    codes = {Kind.CODE: [value], Kind.CODES: split_codes(value)}.get(column.kind, [])
    if any(not CODE.fullmatch(code) for code in codes):
        raise CellRefused("bad-code")
    if column.pattern is not None and not re.fullmatch(column.pattern, value):
        raise CellRefused("bad-form")
    return value


def is_printable(value: str) -> bool:
    """Whether the text can be kept in a spreadsheet and shown to a person: no control characters but the line break."""
    return not _ESCAPE.search(value) and all(_printable(character) for character in value)


def _printable(character: str) -> bool:
    if character == "\n":
        return True
    return (
        unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        and character not in _BIDI
        and character not in "\ufffe\uffff"
    )


def split_codes(value: str) -> list[str]:
    """The codes of a cell that holds several: `M001; M002`."""
    return [code.strip() for code in value.split(";")]


def refusal(refused: CellRefused, sheet: str, row: int, column: str) -> WorkbookError:
    """The error with its place."""
    return WorkbookError(refused.code, sheet, row, column, refused.facts)
