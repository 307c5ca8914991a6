"""From rows to the bytes of an xlsx file: the same rows give the same bytes, and nothing in it is a formula."""

import io
from datetime import UTC, date, datetime
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]  # ships no types

from services.catalog.workbooks.sheets import SHEETS, Cell, Cells, Column, Kind

_WIDTHS = {Kind.CODE: 14, Kind.CODES: 24, Kind.CHOICE: 14, Kind.CHOICES: 18, Kind.WHOLE: 16, Kind.DAY: 14, Kind.TEXT: 28}
# A fixed date of making, so that equal content gives equal bytes.
_MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)


def write_workbook(cells: Cells) -> bytes:
    """The workbook with the columns of `SHEETS`, row by row; optional sheets and columns without content are left out."""
    out = io.BytesIO()
    workbook = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    workbook.set_properties({"created": _MADE_AT})
    heading = workbook.add_format({"bold": True, "bottom": 1})
    day = workbook.add_format({"num_format": "yyyy-mm-dd"})
    for sheet in SHEETS:
        rows = cells.get(sheet.name, ())
        if sheet.optional and not rows:
            continue
        page = workbook.add_worksheet(sheet.name)
        page.freeze_panes(1, 1)
        shown = [column for column in sheet.columns if not column.optional or any(row.get(column.name) for row in rows)]
        for position, column in enumerate(shown):
            page.write_string(0, position, column.name, heading)
            page.set_column(position, position, _WIDTHS[column.kind])
            for number, row in enumerate(rows, start=1):
                _write(page, number, position, column, row.get(column.name), day)
    workbook.close()
    return out.getvalue()


def _write(page: Any, number: int, position: int, column: Column, value: Cell, day: Any) -> None:
    """Text is written as text even when it looks like a formula, a link or a number."""
    if value is None:
        return
    if isinstance(value, int):
        page.write_number(number, position, value)
    elif column.kind is Kind.DAY:
        page.write_datetime(number, position, datetime.combine(date.fromisoformat(value), datetime.min.time()), day)
    else:
        page.write_string(number, position, value)
