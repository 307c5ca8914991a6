"""From the bytes of an xlsx file to rows by sheet, with every error found on the way; nothing in it is ever executed.

The file comes from outside, so it is bounded before it is unpacked: size, parts, unpacked bytes, rows, columns, characters.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from services.catalog.workbooks.cells import CellRefused, read_cell, refusal
from services.catalog.workbooks.errors import WorkbookError
from services.catalog.workbooks.sheets import BY_NAME, SHEETS, Cell, Row, Sheet

BYTES_MAX = 2 * 1024 * 1024
UNPACKED_BYTES_MAX = 32 * 1024 * 1024
PARTS_MAX = 100
COLUMNS_MAX = 64
LAST_ROW_MAX = 20_000
NAME_CHARACTERS_MAX = 60

_UNSAFE_PARTS = ("vbaproject", "externallinks/", "embeddings/", "activex/")
_DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")


@dataclass
class Reading:
    """What was read: every row, where it stands, and all errors; a cell with an error is empty in its row."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=dict)
    """The spreadsheet's number of each row in `rows`."""
    errors: list[WorkbookError] = field(default_factory=list)


def read_workbook(body: bytes) -> Reading:
    """Read every sheet that we know. Never raises for what the file holds: what is wrong stands in `errors`."""
    reading = Reading()
    unfit = _unfit(body)
    if unfit is not None:
        reading.errors.append(unfit)
        return reading
    try:
        workbook = load_workbook(io.BytesIO(body), read_only=True, data_only=False, keep_links=False)
        try:
            _read_sheets(workbook, reading)
        finally:
            workbook.close()
    except Exception:  # noqa: BLE001 - the library raises whatever a damaged file makes it trip over
        return Reading(errors=[WorkbookError("not-a-workbook")])
    return reading


def _unfit(body: bytes) -> WorkbookError | None:
    """Why the file must not even be unpacked, if so. Python's zipfile never unpacks more than a part declares."""
    if len(body) > BYTES_MAX:
        return WorkbookError("workbook-too-large", facts={"limit": BYTES_MAX})
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            parts = archive.infolist()
            if len(parts) > PARTS_MAX or sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
                return WorkbookError("workbook-too-large", facts={"limit": UNPACKED_BYTES_MAX})
            for part in parts:
                if any(word in part.filename.lower() for word in _UNSAFE_PARTS):
                    return WorkbookError("workbook-unsafe", facts={"part": part.filename[:NAME_CHARACTERS_MAX]})
                if _declares(archive.read(part)):
                    return WorkbookError("workbook-unsafe", facts={"part": "DOCTYPE"})
    except Exception:  # noqa: BLE001 - a damaged archive fails in many ways, all of which mean the same
        return WorkbookError("not-a-workbook")
    return None


def _declares(content: bytes) -> bool:
    """Whether a part declares entities, by which a small file becomes a large one; in any encoding XML may have."""
    return any(word.encode(coding) in content for word in _DECLARATIONS for coding in ("utf-8", "utf-16-le", "utf-16-be"))


def _read_sheets(workbook: Any, reading: Reading) -> None:
    names = [str(name) for name in workbook.sheetnames]
    for name in names:
        if name not in BY_NAME:
            shown = name[:NAME_CHARACTERS_MAX]
            facts = {"name": shown, "known": ", ".join(BY_NAME)}
            reading.errors.append(WorkbookError("sheet-unknown", shown, facts=facts))
    for sheet in SHEETS:
        reading.rows[sheet.name], reading.numbers[sheet.name] = [], []
        if sheet.name in names:
            page = workbook[sheet.name]
            page.reset_dimensions()  # what a file says of its size would cut off rows and columns beyond it
            _SheetReader(sheet, reading).read(page.iter_rows())
        elif not sheet.optional:
            reading.errors.append(WorkbookError("sheet-missing", sheet.name))


class _SheetReader:
    """Reads one sheet row by row into a Reading."""

    def __init__(self, sheet: Sheet, reading: Reading) -> None:
        self.sheet = sheet
        self.reading = reading
        self.seen = 0
        self.unnamed: set[int] = set()

    def read(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """The first row names the columns; empty rows are skipped; rows past the limit are one error."""
        numbered = iter(enumerate(rows, start=1))
        header = next(numbered, (1, ()))[1]
        if len(header) > COLUMNS_MAX:
            self._error("too-many-columns", 1, most=COLUMNS_MAX)
            return
        columns = self._columns(header)
        self.unnamed = {
            position for position in range(COLUMNS_MAX) if position >= len(header) or header[position].value is None
        }
        for number, cells in self._filled(numbered):
            if len(cells) > COLUMNS_MAX:
                self._error("too-many-columns", number, most=COLUMNS_MAX)
                return
            self._row(number, cells, columns)
        if self.seen < self.sheet.rows_min:
            self._error("sheet-empty", least=self.sheet.rows_min)

    def _filled(self, numbered: Iterator[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for number, cells in numbered:
            empty = all(cell.value is None for cell in cells)
            self.seen += not empty
            # A row far below the others makes the library invent all those between, so there is an end to that too.
            if self.seen > self.sheet.rows_max or number > LAST_ROW_MAX:
                self._error("too-many-rows", number, most=self.sheet.rows_max)
                return
            if not empty:
                yield number, cells

    def _columns(self, header: tuple[Any, ...]) -> dict[int, str]:
        """Names of the columns by position; those that we do not know are errors and left out."""
        names: dict[int, str] = {}
        for position, cell in enumerate(header):
            if cell.value is None:
                continue
            name = str(cell.value).strip()[:NAME_CHARACTERS_MAX]
            if cell.data_type == "f":
                self._error("formula", 1, name)
            elif name not in self.sheet.by_name:
                self._error("column-unknown", 1, name, name=name)
            elif name in names.values():
                self._error("column-twice", 1, name)
            else:
                names[position] = name
        for column in self.sheet.columns:
            if column.name not in names.values() and not column.optional:
                self._error("column-missing", 1, column.name)
        return names

    def _row(self, number: int, cells: tuple[Any, ...], columns: dict[int, str]) -> None:
        row: dict[str, Cell] = {column.name: None for column in self.sheet.columns}
        for position, cell in enumerate(cells):
            name = columns.get(position)
            if name is None:
                self._without_name(number, position, cell.value)
                continue
            try:
                row[name] = read_cell(self.sheet.column(name), cell.value, getattr(cell, "data_type", "n"))
            except CellRefused as refused:
                self.reading.errors.append(refusal(refused, self.sheet.name, number, name))
        for position, name in columns.items():
            if position >= len(cells) and self.sheet.column(name).required:  # the row ends at its last filled cell
                self._error("required", number, name)
        self.reading.rows[self.sheet.name].append(row)
        self.reading.numbers[self.sheet.name].append(number)

    def _without_name(self, number: int, position: int, value: object) -> None:
        """Content outside the named columns would be lost without a word; said once a column."""
        if value is not None and position in self.unnamed:
            self.unnamed.discard(position)
            self._error("column-unnamed", number, get_column_letter(position + 1))

    def _error(self, code: str, row: int | None = None, column: str | None = None, **facts: object) -> None:
        self.reading.errors.append(WorkbookError(code, self.sheet.name, row, column, facts))
