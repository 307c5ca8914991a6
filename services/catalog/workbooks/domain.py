"""What a workbook comes to: its rows when all is well, else every error at once."""

from services.catalog.workbooks.checks import all_errors
from services.catalog.workbooks.errors import WorkbookRefused
from services.catalog.workbooks.reading import read_workbook
from services.catalog.workbooks.sheets import Cells


def parse_workbook(body: bytes) -> Cells:
    """The rows of a workbook without errors. Raises WorkbookRefused with all of them (C6)."""
    reading = read_workbook(body)
    errors = all_errors(reading)
    if errors:
        raise WorkbookRefused(errors)
    return reading.rows
