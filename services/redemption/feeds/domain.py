"""What stands in a feed, and every error in it at once.

A feed is a CSV file in UTF-8 (with or without BOM) or GB18030, with a header line. Feeds of points end with a control line
`#total,<lines>,<points>`, so that a file cut short by a broken transfer is refused.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from services.redemption.customers.domain import Contact, normal_phone
from services.redemption.points.domain import POINTS_MAX
from shared.errors import DomainError, FieldError
from shared.languages import DEFAULT, LANGUAGES, Language

FeedKind = Literal["customers", "opening-balances", "earned-points"]
BYTES_MAX = 4 * 1024 * 1024
LINES_MAX = 10_000
ERRORS_MAX = 200
NAME_CHARACTERS_MAX = 100
NEVER_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, line and paragraph separators."""
COLUMNS: dict[FeedKind, tuple[str, ...]] = {
    "customers": ("customer_number", "subject", "name", "phone", "tier", "language"),
    "opening-balances": ("customer_number", "points", "expires_on", "reference"),
    "earned-points": ("customer_number", "points", "expires_on", "reference"),
}
WORD = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class FeedRejected(DomainError):
    """The file has errors and nothing of it was taken in."""


class FeedChanged(DomainError):
    """A file of this name was taken in before, with other content."""


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """One customer as the bank's directory has them."""

    line: int
    customer_number: str
    subject: str
    contact: Contact = field(repr=False)
    tier: str
    language: Language


@dataclass(frozen=True, slots=True)
class PointsLine:
    """Points that came to one customer; `reference` is the bank's own, once a customer and kind."""

    line: int
    customer_number: str
    points: int
    expires_on: date
    reference: str


@dataclass(slots=True)
class Errors:
    """Collects what is wrong, by line and column."""

    found: list[FieldError] = field(default_factory=list)

    def add(self, line: int, column: str, code: str, **facts: Any) -> None:
        """Note one error; two hundred are enough to see what is wrong with a file."""
        if len(self.found) < ERRORS_MAX:
            self.found.append(FieldError(f"line {line}: {column}", code, {"line": line, "column": column, **facts}))

    def check(self) -> None:
        """Raises FeedRejected when anything was noted."""
        if self.found:
            raise FeedRejected(*self.found)


def parse_customers(content: bytes) -> list[CustomerLine]:
    """The customers of a file. Raises FeedRejected with every error."""
    errors = Errors()
    lines = []
    for number, row in _rows("customers", content, errors):
        phone = _phone(row["phone"], number, errors)
        for column in ("customer_number", "subject", "tier"):
            if not WORD.match(row[column]):
                errors.add(number, column, "missing" if not row[column] else "not-allowed")
        if not 1 <= len(row["name"]) <= NAME_CHARACTERS_MAX:
            errors.add(number, "name", "missing" if not row["name"] else "too-large")
        elif any(unicodedata.category(character) in NEVER_IN_NAMES for character in row["name"]):
            errors.add(number, "name", "not-allowed")
        language: Language | None = next((known for known in LANGUAGES if known == row["language"]), None)
        if language is None:
            errors.add(number, "language", "not-allowed")
            language = DEFAULT  # so that the line is compared with the others all the same
        contact = Contact(row["name"], phone)
        lines.append(CustomerLine(number, row["customer_number"], row["subject"], contact, row["tier"], language))
    _refuse_repeats(lines, "customer_number", lambda line: line.customer_number, errors)
    _refuse_repeats(lines, "subject", lambda line: line.subject, errors)
    errors.check()
    return lines


def parse_points(kind: FeedKind, content: bytes) -> list[PointsLine]:
    """The points of a file, checked against its control line. Raises FeedRejected with every error."""
    errors = Errors()
    lines: list[PointsLine] = []
    total: tuple[int, list[str]] | None = None
    last = 1
    for number, row in _rows(kind, content, errors, control="#total"):
        last = number
        if "#total" in row:
            total = (number, row["#total"].split("\t"))
            continue
        if total is not None:
            errors.add(number, "customer_number", "not-allowed")
        points, expires_on = _points(row["points"], number, errors), _day(row["expires_on"], number, errors)
        for column in ("customer_number", "reference"):
            if not WORD.match(row[column]):
                errors.add(number, column, "missing" if not row[column] else "not-allowed")
        lines.append(PointsLine(number, row["customer_number"], points, expires_on, row["reference"]))
    _refuse_repeats(lines, "reference", lambda line: (line.customer_number, line.reference), errors)
    _check_total(lines, total, last, errors)
    errors.check()
    return lines


def _check_total(lines: Sequence[PointsLine], total: tuple[int, list[str]] | None, last: int, errors: Errors) -> None:
    counted = f"{len(lines)},{sum(line.points for line in lines)}"
    if total is None:
        errors.add(last, "#total", "missing")
    elif ",".join(total[1]) != counted and not errors.found:
        errors.add(total[0], "#total", "wrong-total", written=",".join(total[1]), counted=counted)


def _rows(kind: FeedKind, content: bytes, errors: Errors, *, control: str | None = None) -> list[tuple[int, dict[str, str]]]:
    """Lines as {column: value} with their numbers in the file; a control line as {control: the rest}."""
    columns = COLUMNS[kind]
    reader = csv.reader(io.StringIO(_text(content), newline=""))
    _, header = next(_records(reader, len(columns)), (1, []))
    if tuple(name.strip() for name in header) != columns:
        raise FeedRejected(FieldError("line 1", "wrong-header", {"line": 1, "expected": ",".join(columns)}))
    found: list[tuple[int, dict[str, str]]] = []
    for number, values in _records(reader, len(columns)):
        if control is not None and values[0].strip() == control:
            found.append((number, {control: "\t".join(value.strip() for value in values[1:])}))
        elif len(values) != len(columns):
            errors.add(number, "line", "wrong-columns", expected=len(columns))
        else:
            found.append((number, {name: value.strip() for name, value in zip(columns, values, strict=True)}))
        if len(found) > LINES_MAX + (control is not None):
            raise FeedRejected(FieldError(f"line {number}", "too-many-lines", {"line": number, "most": LINES_MAX}))
    return found


def _records(reader: Any, expected: int) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers. Raises FeedRejected where a quote is never closed."""
    try:
        for values in reader:
            if values:
                yield reader.line_num, values
    except csv.Error:  # a field of more than 131,072 characters
        number = reader.line_num
        raise FeedRejected(FieldError(f"line {number}", "wrong-columns", {"line": number, "expected": expected})) from None


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise FeedRejected(FieldError("file", "not-text"))


def _points(written: str, number: int, errors: Errors) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= 13 and 0 < int(written) <= POINTS_MAX):
        errors.add(number, "points", "not-a-number")
        return 0
    return int(written)


def _day(written: str, number: int, errors: Errors) -> date:
    try:
        if not DAY.fullmatch(written):  # ISO 8601 has weeks too
            raise ValueError
        return date.fromisoformat(written)
    except ValueError:
        errors.add(number, "expires_on", "not-a-date")
        return date.min


def _phone(written: str, number: int, errors: Errors) -> str:
    try:
        return normal_phone(written)
    except ValueError:
        errors.add(number, "phone", "not-a-phone")
        return ""


def _refuse_repeats(lines: Sequence[Any], column: str, key: Callable[[Any], Any], errors: Errors) -> None:
    first: dict[Any, int] = {}
    for line in lines:
        seen = first.setdefault(key(line), line.line)
        if seen != line.line:
            errors.add(line.line, column, "repeated", first=seen)
