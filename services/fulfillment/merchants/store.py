"""SQL of the mirrored merchants."""

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.merchants.domain import Directory, Till
from services.fulfillment.merchants.tables import merchants, terminals
from shared.languages import Text
from shared.sets import insert_rows

MIRROR = "merchants"

_ADMITTED = text(
    """
    SELECT asked.merchant, asked.terminal
      FROM unnest(CAST(:merchants AS text[]), CAST(:terminals AS text[])) AS asked(merchant, terminal)
      JOIN terminals t ON t.merchant_code = asked.merchant AND t.code = asked.terminal
      JOIN merchants m ON m.code = asked.merchant
     WHERE m.accepts_vouchers AND CAST(:today AS date) BETWEEN m.contract_from AND m.contract_until
    """
)
_NAMES = text("SELECT code, names FROM merchants WHERE code = ANY(CAST(:codes AS text[]))")
_ETAG = text("SELECT etag FROM mirrors WHERE name = :name")
_NOTE = text(
    """
    INSERT INTO mirrors (name, etag, read_at) VALUES (:name, :etag, :now)
    ON CONFLICT (name) DO UPDATE SET etag = excluded.etag, read_at = excluded.read_at
    """
)
_FORGET_TERMINALS = text("DELETE FROM terminals")
_FORGET_MERCHANTS = text("DELETE FROM merchants WHERE code <> ALL(CAST(:codes AS text[]))")
_UPSERT = """
    ON CONFLICT (code) DO UPDATE SET names = excluded.names, accepts_vouchers = excluded.accepts_vouchers,
           contract_from = excluded.contract_from, contract_until = excluded.contract_until
"""


async def admitted(conn: AsyncConnection, tills: Collection[Till], today: date) -> set[Till]:
    """Which of these tills are known and have a merchant that accepts vouchers on this day."""
    asked = sorted(set(tills))
    values = {"merchants": [till.merchant for till in asked], "terminals": [till.terminal for till in asked], "today": today}
    return {Till(row.merchant, row.terminal) for row in await conn.execute(_ADMITTED, values)}


async def names_of(conn: AsyncConnection, codes: Collection[str]) -> dict[str, Text]:
    """The names of the merchants that are known."""
    if not codes:
        return {}
    return {row.code: row.names for row in await conn.execute(_NAMES, {"codes": sorted(codes)})}


async def read_etag(conn: AsyncConnection) -> str | None:
    """The tag of the list that is mirrored."""
    tag: str | None = (await conn.execute(_ETAG, {"name": MIRROR})).scalar_one_or_none()
    return tag


async def note_read(conn: AsyncConnection, now: datetime, etag: str | None) -> None:
    """Write down that the list was read, and its tag."""
    await conn.execute(_NOTE, {"name": MIRROR, "etag": etag, "now": now})


async def replace_all(conn: AsyncConnection, directory: Directory) -> None:
    """Make the mirror equal to the list."""
    rows = [
        {
            "code": merchant.code,
            "names": merchant.names,
            "accepts_vouchers": merchant.accepts_vouchers,
            "contract_from": merchant.contract_from,
            "contract_until": merchant.contract_until,
        }
        for merchant in sorted(directory.merchants, key=lambda merchant: merchant.code)
    ]
    tills = [
        {"merchant_code": merchant.code, "code": terminal}
        for merchant in directory.merchants
        for terminal in merchant.terminals
    ]
    await conn.execute(_FORGET_TERMINALS)
    await conn.execute(_FORGET_MERCHANTS, {"codes": [row["code"] for row in rows]})
    await insert_rows(conn, merchants, rows, tail=_UPSERT)
    await insert_rows(conn, terminals, tills)
