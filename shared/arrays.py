"""Lists as arrays of PostgreSQL, written in one pass: what a set of rows is bound with.

psycopg asks a converter of its own for each element, which took half of the time that a set of rows costs here. The type of
the array is left to the statement, which states it with a CAST: so a statement has one form, whatever it is given.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from psycopg.adapt import Dumper
from psycopg.errors import DataError

NULL = "NULL"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: dict[type, Callable[[Any], str]] = {
    UUID: attrgetter("hex"),
    bool: str,
    int: str,
    float: repr,
    str: _quoted,
    bytes: lambda value: f'"\\\\x{value.hex()}"',
    datetime: datetime.isoformat,
    date: date.isoformat,
}


def array_of(values: Sequence[Any]) -> str:
    """The text of an array. Raises DataError for what no array of ours holds."""
    kinds = set(map(type, values))
    whole = type(None) not in kinds
    kinds.discard(type(None))
    if not kinds:
        return "{" + ",".join([NULL] * len(values)) + "}"
    if len(kinds) > 1:
        raise DataError(f"an array of {', '.join(sorted(kind.__name__ for kind in kinds))}")
    kind = kinds.pop()
    write = _writer(kind)
    if kind is datetime and values.count(values[0]) == len(values):  # one instant a command: written once
        return "{" + ",".join([write(values[0])] * len(values)) + "}"
    text = ",".join(map(write, values)) if whole else ",".join([NULL if v is None else write(v) for v in values])
    if "\x00" in text:
        raise DataError("PostgreSQL text cannot hold the NUL character")
    return "{" + text + "}"


def _writer(kind: type) -> Callable[[Any], str]:
    """How values of this type are written; a subclass such as a StrEnum as its base is."""
    known = next((base for base in kind.__mro__ if base in _WRITERS), None)
    if known is None:
        raise DataError(f"an array of {kind.__name__}")
    return _WRITERS[known]


class ArrayDumper(Dumper):
    """Binds a list."""

    def dump(self, obj: list[Any]) -> bytes:
        """The bytes of the array."""
        return array_of(obj).encode()
