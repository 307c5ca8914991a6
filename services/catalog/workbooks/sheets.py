"""The table of the workbook's sheets and columns: reading, checking, writing and the documentation all follow it.

A new sheet is one more entry in `SHEETS`; a sheet that is not listed here is an error that names it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.catalog.campaigns.domain import BUDGET_LINES, CATEGORIES, WAYS_OF_GOODS, RewardKind
from shared.languages import LANGUAGES

Cell = str | int | None
"""What a cell holds once read: text, a whole number, nothing. A day is kept as ISO text, `2026-09-01`."""
Row = Mapping[str, Cell]
Cells = Mapping[str, Sequence[Row]]
"""Rows by sheet: the form in which a version keeps its workbook."""

POINTS_MAX = 1_000_000_000
MINOR_MAX = 1_000_000_000_000
UNITS_MAX = 10_000_000
DAYS_MAX = 3_650
ROWS_MAX = 5_000


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    CODE = "code"
    CODES = "codes"
    """Codes with `;` between them."""
    CHOICE = "choice"
    CHOICES = "choices"
    """Some of the choices, with `;` between them."""
    WHOLE = "whole"
    DAY = "day"


@dataclass(frozen=True)
class Column:
    """One column: its name in the first row of the sheet, and what its cells may hold."""

    name: str
    kind: Kind
    required: bool = True
    low: int = 0
    high: int = 0
    """The largest number, or the longest text in characters."""
    choices: tuple[str, ...] = ()
    references: str | None = None
    """The sheet whose `code` column must hold what stands here."""
    pattern: str | None = None
    optional: bool = False
    """Whether the whole column may be absent, as it is in workbooks that are older than it; then it is empty everywhere."""


@dataclass(frozen=True)
class Sheet:
    """One sheet: its columns, what makes a row unique, and how many rows it may have."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("code",)
    rows_min: int = 0
    rows_max: int = ROWS_MAX
    optional: bool = False
    """Whether the whole sheet may be absent."""

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}


def _code(name: str = "code", references: str | None = None, required: bool = True) -> Column:
    return Column(name, Kind.CODE, required, high=32, references=references)


def _text(name: str, high: int, required: bool = True, pattern: str | None = None) -> Column:
    return Column(name, Kind.TEXT, required, high=high, pattern=pattern)


def _three(name: str, high: int, required: bool = True) -> Iterator[Column]:
    return (_text(f"{name}_{language}", high, required) for language in LANGUAGES)


def _whole(name: str, low: int, high: int, required: bool = True) -> Column:
    return Column(name, Kind.WHOLE, required, low, high)


def _choice(name: str, *choices: str) -> Column:
    return Column(name, Kind.CHOICE, choices=choices)


def _day(name: str, required: bool = True) -> Column:
    return Column(name, Kind.DAY, required)


SHEETS: tuple[Sheet, ...] = (
    Sheet(
        "campaign",
        (
            _code(),
            *_three("name", 120),
            *_three("description", 2_000),
            _text("theme", 60),
            _day("opens_on"),
            _day("closes_on"),
            _text("currency", 3, pattern="[A-Z]{3}"),
            _choice("sample", "yes", "no"),
        ),
        rows_min=1,
        rows_max=1,
    ),
    Sheet(
        "rewards",
        (
            _code(),
            _choice("kind", *(kind.value for kind in RewardKind)),
            _choice("category", *CATEGORIES),
            *_three("name", 120),
            *_three("description", 2_000),
            *_three("features", 500, required=False),
            _text("brand", 80, required=False),
            _text("model", 80, required=False),
            _whole("market_value_minor", 0, MINOR_MAX),
            _whole("unit_cost_minor", 0, MINOR_MAX),
            _text("image", 200, required=False, pattern=r"(https://|/)[!-~]+"),
            _text("supplier", 80, required=False),
            _whole("lead_time_days", 0, DAYS_MAX),
            Column("delivery", Kind.CHOICES, required=False, choices=tuple(WAYS_OF_GOODS), optional=True),
            _whole("face_value_minor", 1, MINOR_MAX, required=False),
            _whole("valid_days", 1, DAYS_MAX, required=False),
            Column("merchants", Kind.CODES, required=False, high=4_000, references="merchants"),
            *_three("terms", 2_000, required=False),
        ),
        rows_min=1,
    ),
    Sheet(
        "offers",
        (
            _code(),
            _code("reward", references="rewards"),
            _whole("price_points", 1, POINTS_MAX),
            _whole("limit_per_customer", 1, UNITS_MAX, required=False),
            _whole("limit_per_day", 1, UNITS_MAX, required=False),
            _whole("quota_total", 1, UNITS_MAX, required=False),
            _whole("quota_per_day", 1, UNITS_MAX, required=False),
            _day("opens_on", required=False),
            _day("closes_on", required=False),
        ),
        rows_min=1,
    ),
    Sheet(
        "stock_batches",
        (
            _code(),
            _code("reward", references="rewards"),
            _whole("quantity", 0, UNITS_MAX),
            _day("expires_on", required=False),
        ),
    ),
    Sheet(
        "merchants",
        (
            _code(),
            *_three("name", 120),
            _text("category_code", 4, pattern="[0-9]{4}"),
            *_three("address", 200),
            _choice("accepts_vouchers", "yes", "no"),
            _choice("accepts_spend", "yes", "no"),
            _day("contract_from"),
            _day("contract_until"),
        ),
    ),
    Sheet(
        "terminals",
        (_code("merchant", references="merchants"), _code(), _text("location", 120)),
        key=("merchant", "code"),
    ),
    Sheet(
        "budget",
        (_choice("line", *BUDGET_LINES), _whole("amount_minor", 0, MINOR_MAX)),
        key=("line",),
        optional=True,
    ),
)
BY_NAME: Mapping[str, Sheet] = {sheet.name: sheet for sheet in SHEETS}
