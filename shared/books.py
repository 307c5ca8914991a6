"""A service's own books: SQL that compares every counter with what explains it, and the route that tells what does not fit.

All checks of one look run in one snapshot, so that a transaction in the middle of its commit is seen whole or not at all.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.app import new_router
from shared.database import Database
from shared.identity import Principal, allow, services

BREAKS_MAX = 200

_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]


class Break(NamedTuple):
    """Something that does not add up: its kind, what it is about, and the figures."""

    kind: str
    subject: str
    detail: str


class Books:
    """The checks of one service. Each is a query that answers (subject, detail) of what is wrong, and nothing else."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        self.checks = checks

    async def find_breaks(self, database: Database) -> list[Break]:
        """Everything that does not add up, at most two hundred of a kind; empty on a healthy system, under load too (P4)."""
        async with database.transaction() as conn:
            await take_snapshot(conn)
            return await self.find_breaks_within(conn)

    async def find_breaks_within(self, conn: AsyncConnection) -> list[Break]:
        """The same in a transaction that has its snapshot already."""
        found: list[Break] = []
        for kind, query in self.checks.items():
            rows = await conn.execute(text(query.replace("::", r"\:\:") + f" LIMIT {BREAKS_MAX}"))
            found += [Break(kind, row[0], row[1]) for row in rows]
        return found


async def take_snapshot(conn: AsyncConnection) -> None:
    """From here to its end the transaction sees the database as it is now. Must be its first statement."""
    await conn.execute(_SNAPSHOT)


class BreakView(BaseModel):
    """Something that does not add up."""

    kind: str
    subject: str
    detail: str


class BreaksView(BaseModel):
    """Empty on a healthy system."""

    items: list[BreakView]


def books_router(books: Books, database: Database) -> APIRouter:
    """The route; the reconcile command asks it."""
    router = new_router()

    @router.get("/internal/v1/breaks", response_model=BreaksView)
    async def list_breaks(who: Reconciling) -> BreaksView:  # noqa: ARG001 - the policy
        """What does not add up in this service's own books."""
        found = await books.find_breaks(database)
        return BreaksView(items=[BreakView(kind=b.kind, subject=b.subject, detail=b.detail) for b in found])

    return router
