"""Many rows in one statement: the hot path writes sets, never row by row."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import String, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import JSON

from shared.statements import execute, fetch

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=256)
def _statement(table: Table, columns: tuple[str, ...], tail: str) -> TextClause:
    """`INSERT … SELECT … FROM unnest(…)`: one parse, one plan and one round trip, however many rows."""
    parts, picks, names = [], [], []
    for name in columns:
        kind = table.c[name].type
        # a cast to varchar(n) would cut silently what the column refuses
        sql_type = "TEXT" if isinstance(kind, String) else kind.compile(_DIALECT)
        quoted = _DIALECT.identifier_preparer.quote(name)
        names.append(quoted)
        if isinstance(kind, JSON):  # arrays of jsonb would be nested; text is not
            parts.append(f"CAST(:{name} AS text[])")
            picks.append(f"CAST({quoted} AS {sql_type})")
        else:
            parts.append(f"CAST(:{name} AS {sql_type}[])")
            picks.append(quoted)
    listed = ", ".join(names)
    return text(
        f"INSERT INTO {table.name} ({listed}) SELECT {', '.join(picks)} "
        f"FROM unnest({', '.join(parts)}) AS _rows({listed}) {tail}"
    )


def as_json(value: Any) -> str:
    """JSON text, for the database and for answers; instants and days as RFC 3339 has them."""
    return to_json(value, fallback=str).decode()


async def insert_rows(
    conn: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    tail: str = "",
) -> list[Any]:
    """Insert all rows with one statement. `tail` may hold ON CONFLICT and RETURNING.

    Every row has the same keys, else ValueError. Returns what RETURNING gives, else an empty list. JSON values are passed as
    Python objects. Columns of an array type cannot be written this way, since unnest would flatten them.
    """
    if not rows:
        return []
    columns = tuple(rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"the rows for {table.name} do not have the same columns")
    is_json = {name for name in columns if isinstance(table.c[name].type, JSON)}
    values = {
        name: [as_json(row[name]) if name in is_json and row[name] is not None else row[name] for row in rows]
        for name in columns
    }
    statement = _statement(table, columns, tail)
    if "RETURNING" in tail:
        return await fetch(conn, statement, values)
    await execute(conn, statement, values)
    return []
