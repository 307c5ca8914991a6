"""A service's own books: SQL that compares every counter with what explains it, and the route that tells what does not fit.

Books grow for ever, and no statement may need more than its share: each check walks along the keys of a table, range by range.
A range is read in one snapshot, so that a transaction in the middle of its commit is seen whole or not at all.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg.errors import QueryCanceled
from pydantic import BaseModel
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.app import new_router
from shared.database import Database
from shared.errors import FieldError
from shared.identity import Principal, allow, services
from shared.problems import InvalidInput

BREAKS_MAX = 200
PAGE_SECONDS = 1.0
QUICK_SECONDS, SLOW_SECONDS = 0.1, 0.4
CURSOR_CHARACTERS_MAX = 200
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
COLONS = r"\:\:"

_NO_LOOPS = text("SET LOCAL enable_nestloop = off")
_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]


class Break(NamedTuple):
    """Something that does not add up: its kind, what it is about, and the figures."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Walk:
    """The keys along which checks go: a column with an index, of UUIDs or of text.

    A range begins with `first` keys of the table, doubles while it is quick, up to `most`, and halves when it is slow. Ranges
    of UUIDs cover every UUID, so that rows without a counterpart in this table are seen too; those of text go from key to key.
    """

    table: str
    column: str = "id"
    first: int = 500
    most: int = 8_000
    of_text: bool = False


class Check(NamedTuple):
    """A query that answers (subject, detail) of what is wrong with the keys from `:low` to `:high`, both included."""

    walk: Walk
    query: str


@dataclass(frozen=True)
class Page:
    """What a part of the books says, and from where to go on; None at the end."""

    breaks: list[Break]
    following: str | None


class Books:
    """The checks of one service by kind, which walk together where they walk along the same keys."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.checks = checks
        self._walks = {check.walk.table: check.walk for check in checks.values()}

    async def find_breaks(self, database: Database) -> list[Break]:
        """Everything that does not add up; empty on a healthy system, under load too (P4)."""
        found: list[Break] = []
        cursor = None
        while True:
            page = await self.find_page(database, cursor)
            found += page.breaks
            if page.following is None:
                return found
            cursor = page.following

    async def find_page(self, database: Database, cursor: str | None = None, *, seconds: float = PAGE_SECONDS) -> Page:
        """As many ranges as go into the time, one at least. Raises InvalidInput for a cursor that is none of ours."""
        walk, after = self._at(cursor)
        found: list[Break] = []
        ends_at = asyncio.get_running_loop().time() + seconds
        size = walk.first
        while True:
            began = asyncio.get_running_loop().time()
            try:
                breaks, following = await self._range(database, walk, after, size)
            except DBAPIError as error:
                if not isinstance(error.orig, QueryCanceled) or size == 1:
                    raise
                size = max(1, size // 8)
                continue
            found += breaks
            now = asyncio.get_running_loop().time()
            if following is None:
                later = self._walk_after(walk)
                if later is None:
                    return Page(found, None)
                walk, after, size = later, "", later.first
            else:
                after = following
                took = now - began
                size = min(walk.most, size * 2) if took < QUICK_SECONDS else max(1, size // 2) if took > SLOW_SECONDS else size
            if now >= ends_at:
                return Page(found, f"{walk.table}:{after}")

    def _at(self, cursor: str | None) -> tuple[Walk, str]:
        name, _, after = (cursor or f"{next(iter(self._walks))}:").partition(":")
        walk = self._walks.get(name)
        if walk is None or (after and not walk.of_text and not _is_uuid(after)):
            raise InvalidInput(FieldError("query:after", "not-allowed"))
        return walk, after

    def _walk_after(self, walk: Walk) -> Walk | None:
        walks = list(self._walks.values())
        return dict(itertools.pairwise(walks)).get(walk)

    async def _range(self, database: Database, walk: Walk, after: str, size: int) -> tuple[list[Break], str | None]:
        """One range in one snapshot, and the key after which the next one begins."""
        found: list[Break] = []
        async with database.transaction() as conn:
            await take_snapshot(conn)
            low, high, following = await (_text_range if walk.of_text else _uuid_range)(conn, walk, after, size)
            for kind, check in self.checks.items():
                if check.walk == walk:
                    rows = await conn.execute(_limited(check.query), {"low": low, "high": high})
                    found += [Break(kind, row[0], row[1]) for row in rows]
        return found, following


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _limited(query: str) -> TextClause:
    return text(f"SELECT * FROM ({query.replace('::', COLONS)}) AS found ORDER BY 1 LIMIT {BREAKS_MAX}")


async def _uuid_range(conn: AsyncConnection, walk: Walk, after: str, size: int) -> tuple[Any, Any, str | None]:
    """From the UUID behind `after` to the last of `size` keys; where there are fewer, to the end of all UUIDs."""
    low = UUID(int=UUID(after).int + 1) if after else FIRST
    query = f"SELECT {walk.column} FROM {walk.table} WHERE {walk.column} >= :low ORDER BY {walk.column} OFFSET :skipped LIMIT 1"
    high = (await conn.execute(text(query), {"low": low, "skipped": size - 1})).scalar_one_or_none()
    return (low, LAST, None) if high in (None, LAST) else (low, high, str(high))


async def _text_range(conn: AsyncConnection, walk: Walk, after: str, size: int) -> tuple[Any, Any, str | None]:
    query = f"SELECT {walk.column} FROM {walk.table} WHERE {walk.column} > :after ORDER BY {walk.column} LIMIT :most"
    keys = list((await conn.execute(text(query), {"after": after, "most": size})).scalars())
    return (keys[0], keys[-1], keys[-1] if len(keys) == size else None) if keys else ("", "", None)


async def take_snapshot(conn: AsyncConnection) -> None:
    """From here to its end the transaction sees the database as it is now. Must be its first statement.

    Its joins compare whole ranges. Where the server has not counted yet what was written lately, it would take a range for a
    row and look through the other side once for each: a range that takes milliseconds would run into its time limit.
    """
    await conn.execute(_SNAPSHOT)
    await conn.execute(_NO_LOOPS)


class BreakView(BaseModel):
    """Something that does not add up."""

    kind: str
    subject: str
    detail: str


class BreaksView(BaseModel):
    """What a part of the books says; `next` names the part that follows."""

    items: list[BreakView]
    next: str | None


def books_router(books: Books, database: Database) -> APIRouter:
    """The route; whoever reconciles asks it, part by part."""
    router = new_router()

    @router.get("/internal/v1/breaks", response_model=BreaksView)
    async def list_breaks(
        who: Reconciling,  # noqa: ARG001 - the policy
        after: Annotated[str | None, Query(max_length=CURSOR_CHARACTERS_MAX)] = None,
    ) -> BreaksView:
        """What does not add up in this service's own books, as much of them as is read in a second; at most 200 of a kind."""
        page = await books.find_page(database, after)
        return BreaksView(
            items=[BreakView(kind=b.kind, subject=b.subject, detail=b.detail) for b in page.breaks], next=page.following
        )

    return router
