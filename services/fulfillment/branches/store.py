"""SQL of branches."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches.domain import Branch
from services.fulfillment.branches.tables import branches
from shared.sets import insert_rows

_COLUMNS = "code, names, addresses, phone, hours, open, capacity_parcels"
_ALL = text(f"SELECT {_COLUMNS} FROM branches ORDER BY code")
_SOME = text(f"SELECT {_COLUMNS} FROM branches WHERE code = ANY(CAST(:codes AS text[])) ORDER BY code")
_LOCK = text(f"SELECT {_COLUMNS} FROM branches WHERE code = ANY(CAST(:codes AS text[])) ORDER BY code FOR NO KEY UPDATE")
# What is on its way there or lies there already; the states are those of parcels that are not at their end.
_WAITING = text(
    """
    SELECT branch, count(*) AS waiting FROM parcels
     WHERE branch = ANY(CAST(:codes AS text[])) AND state IN ('preparing', 'in_transfer', 'ready') GROUP BY branch
    """
)
_UPSERT = """
    ON CONFLICT (code) DO UPDATE SET names = excluded.names, addresses = excluded.addresses, phone = excluded.phone,
           hours = excluded.hours, open = excluded.open, capacity_parcels = excluded.capacity_parcels,
           changed_at = excluded.changed_at
"""


async def read_all(conn: AsyncConnection) -> list[Branch]:
    """Every branch, closed ones too."""
    return [_branch(row) for row in await conn.execute(_ALL)]


async def read(conn: AsyncConnection, codes: Collection[str]) -> dict[str, Branch]:
    """The branches that are known under these codes."""
    return {row.code: _branch(row) for row in await conn.execute(_SOME, {"codes": sorted(codes)})}


async def lock(conn: AsyncConnection, codes: Collection[str]) -> dict[str, Branch]:
    """The same, locked in the order of their codes."""
    return {row.code: _branch(row) for row in await conn.execute(_LOCK, {"codes": sorted(codes)})}


async def waiting_at(conn: AsyncConnection, codes: Collection[str]) -> dict[str, int]:
    """How many parcels are on their way to these branches or lie there; those with none are left out."""
    return {row.branch: row.waiting for row in await conn.execute(_WAITING, {"codes": sorted(codes)})}


async def write(conn: AsyncConnection, now: datetime, listed: Sequence[Branch]) -> None:
    """Add new branches and change known ones."""
    rows = [
        {
            "code": branch.code,
            "names": branch.names,
            "addresses": branch.addresses,
            "phone": branch.phone,
            "hours": branch.hours,
            "open": branch.open,
            "capacity_parcels": branch.capacity_parcels,
            "changed_at": now,
        }
        for branch in sorted(listed, key=lambda branch: branch.code)
    ]
    await insert_rows(conn, branches, rows, tail=_UPSERT)


def _branch(row: Row[Any]) -> Branch:
    return Branch(row.code, row.names, row.addresses, row.phone, row.hours, row.open, row.capacity_parcels)
