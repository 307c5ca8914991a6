"""Statements as the hot path sends them: the same SQL in the same transaction, without the layers that a set does not need.

SQLAlchemy's own way stays the usual one. Here a text with `:names` is put into PostgreSQL's form once a process and handed to
the driver, which costs a third; and statements whose rows nobody waits for go out together, in one round trip.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import AsyncRowFactory, dict_row, namedtuple_row
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_NAME = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_NOTHING = text("SELECT")


async def fetch(conn: AsyncConnection, statement: TextClause, values: Mapping[str, Any]) -> list[Any]:
    """The rows of a statement, their columns as attributes."""
    try:
        cursor = await _sent(conn, statement, values, namedtuple_row)
        return await cursor.fetchall()
    except psycopg.Error as error:
        raise await _as_usual(conn, error) from error


async def fetch_named(conn: AsyncConnection, statement: TextClause, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement by the names of their columns."""
    try:
        cursor = await _sent(conn, statement, values, dict_row)
        return await cursor.fetchall()
    except psycopg.Error as error:
        raise await _as_usual(conn, error) from error


async def execute(conn: AsyncConnection, statement: TextClause, values: Mapping[str, Any]) -> None:
    """Carry out a statement that answers no rows. Inside `together` it is sent on its way and not waited for."""
    try:
        await _sent(conn, statement, values, namedtuple_row)
    except psycopg.Error as error:
        raise await _as_usual(conn, error) from error


@asynccontextmanager
async def together(conn: AsyncConnection) -> AsyncIterator[None]:
    """Send the statements of this block in one round trip, in their order; each sees what those before it did.

    At its end all of them are done, or the first error is raised. Nothing but `execute` and `fetch` may be used inside.
    """
    try:
        async with _driver(conn).pipeline():
            yield
    except psycopg.Error as error:
        raise await _as_usual(conn, error) from error


@lru_cache(maxsize=1024)
def _prepared(statement: TextClause) -> tuple[bytes, tuple[str, ...]]:
    """The text with numbered places, and the names of the values for them."""
    names: dict[str, int] = {}
    numbered = _NAME.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statement.text)
    return numbered.replace("\\:", ":").encode(), tuple(names)


async def _sent(
    conn: AsyncConnection, statement: TextClause, values: Mapping[str, Any], rows: AsyncRowFactory[Any]
) -> psycopg.AsyncCursor[Any]:
    query, names = _prepared(statement)
    above = conn.sync_connection
    assert above is not None
    for listen in above.dispatch.before_cursor_execute:  # whoever watches statements sees these too
        listen(above, None, statement.text, values, None, False)
    cursor = psycopg.AsyncRawCursor(_driver(conn), row_factory=rows)
    return await cursor.execute(query, [values[name] for name in names])


def _driver(conn: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """psycopg's connection below SQLAlchemy's."""
    assert conn.sync_connection is not None
    found: psycopg.AsyncConnection[Any] = conn.sync_connection.connection.driver_connection  # type: ignore[assignment]
    return found


async def _as_usual(conn: AsyncConnection, error: psycopg.Error) -> BaseException:
    """The error as SQLAlchemy raises it, without the values."""
    driver = _driver(conn)
    if driver.closed or driver.broken:
        try:
            await conn.execute(_NOTHING)  # so that SQLAlchemy sees that the server is gone, and lets go of its pool
        except DBAPIError as gone:
            return gone
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, dialect=conn.dialect)
