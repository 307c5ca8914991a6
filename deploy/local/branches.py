"""The bank's list of branches as a CSV file, turned into what fulfillment takes."""

import csv
import io
from typing import Any

from deploy.local.failure import CannotStart
from shared.languages import LANGUAGES

TEXTS = {"names": "name", "addresses": "address", "hours": "hours"}
"""The field of a branch, and how its three columns begin."""
COLUMNS = frozenset(
    {"code", "phone", "open", "capacity_parcels"}
    | {f"{start}_{language}" for start in TEXTS.values() for language in LANGUAGES}
)
YES_NO = {"yes": True, "no": False}


def read_branches(content: bytes) -> list[dict[str, Any]]:
    """The branches of a file, in its order. Raises CannotStart for one that is no such list."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise CannotStart(f"The file is no CSV in UTF-8: {error}.") from error
    if wrong := COLUMNS.symmetric_difference(reader.fieldnames or ()):
        raise CannotStart(f"The first line must name exactly these columns: {', '.join(sorted(COLUMNS))}; see {min(wrong)}.")
    return [_branch(row, line) for line, row in enumerate(rows, start=2)]


def _branch(row: dict[str, str], line: int) -> dict[str, Any]:
    if None in row or None in row.values():
        raise CannotStart(f"Line {line} does not have as many values as there are columns.")
    if row["open"] not in YES_NO or not row["capacity_parcels"].isdecimal():
        raise CannotStart(f"Line {line}: `open` is yes or no, `capacity_parcels` a whole number.")
    texts = {field: {language: row[f"{start}_{language}"] for language in LANGUAGES} for field, start in TEXTS.items()}
    return {
        "code": row["code"],
        **texts,
        "phone": row["phone"],
        "open": YES_NO[row["open"]],
        "capacity_parcels": int(row["capacity_parcels"]),
    }
