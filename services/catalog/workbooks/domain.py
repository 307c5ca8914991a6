"""What a workbook comes to: its rows when all is well, else every error at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.catalog.workbooks.checks import all_errors
from services.catalog.workbooks.errors import WorkbookRefused
from services.catalog.workbooks.reading import read_workbook
from services.catalog.workbooks.sheets import Cells


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of a workbook without errors, and where each stands in its sheet."""

    cells: Cells
    numbers: Mapping[str, Sequence[int]]


def parse_workbook(body: bytes) -> Parsed:
    """Read and check a workbook. Raises WorkbookRefused with all errors (C6)."""
    reading = read_workbook(body)
    errors = all_errors(reading)
    if errors:
        raise WorkbookRefused(errors)
    return Parsed(reading.rows, reading.numbers)
