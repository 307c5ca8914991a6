"""The feeds' SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.feeds.tables import feed_files
from shared.sets import insert_rows

_READ = text(
    "SELECT kind, name, digest, lines, new, changed, unchanged, points FROM feed_files WHERE kind = :kind AND name = :name"
)
_KNOWN_LOTS = text(
    """
    SELECT l.account_id, l.source_ref, l.original, l.expires_on FROM lots l
      JOIN unnest(CAST(:accounts AS uuid[]), CAST(:references AS text[])) AS asked(account_id, source_ref)
        ON l.account_id = asked.account_id AND l.source_ref = asked.source_ref
     WHERE l.source = :source
    """
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a file did. Points are those of its new lines."""

    kind: str
    name: str
    digest: bytes
    lines: int
    new: int
    changed: int
    unchanged: int
    points: int


async def read_receipt(conn: AsyncConnection, kind: str, name: str) -> Receipt | None:
    """The receipt of a file that was taken in under this name."""
    row = (await conn.execute(_READ, {"kind": kind, "name": name})).first()
    return None if row is None else Receipt(**{**row._mapping, "digest": bytes(row.digest)})


async def take_name(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Write the receipt first: a file of the same name that is just being taken in makes this wait, then lose."""
    return bool(await insert_rows(conn, feed_files, [row], tail="ON CONFLICT (kind, name) DO NOTHING RETURNING name"))


async def count(conn: AsyncConnection, receipt: Receipt) -> None:
    """Complete the receipt within the same transaction."""
    await conn.execute(
        text(
            "UPDATE feed_files SET lines = :lines, new = :new, changed = :changed, unchanged = :unchanged, points = :points "
            "WHERE kind = :kind AND name = :name"
        ),
        {name: getattr(receipt, name) for name in ("lines", "new", "changed", "unchanged", "points", "kind", "name")},
    )


async def known_lots(
    conn: AsyncConnection, source: str, asked: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], tuple[int, date]]:
    """(points, last day) of lots that came before, by account and reference."""
    values = {"accounts": [a for a, _ in asked], "references": [r for _, r in asked], "source": source}
    found = await conn.execute(_KNOWN_LOTS, values)
    return {(row.account_id, row.source_ref): (row.original, row.expires_on) for row in found}
