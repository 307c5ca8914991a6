"""SQL of return documents: what stands under an id, the counters of lines and draws, and writing both."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.reservations.domain import State
from services.catalog.returns.domain import DrawCounter, LineCounter, Return, Standing
from services.catalog.returns.tables import reservation_return_lines, reservation_returns
from shared.sets import insert_rows

_KNOWN = text("SELECT id, fingerprint FROM reservation_returns WHERE id = ANY(CAST(:ids AS uuid[]))")
_LINES = text(
    """
    SELECT l.reservation_id, l.number, r.campaign_code AS campaign, l.offer_id, l.counted_on, l.quantity, l.cost_minor,
           l.returned, l.places_returned
      FROM reservation_lines l JOIN reservations r ON r.id = l.reservation_id
     WHERE l.reservation_id = ANY(CAST(:ids AS uuid[]))
    """
)
_DRAWS = text(
    """
    SELECT d.reservation_id, d.line, d.batch_id, d.quantity, d.returned, d.restocked
      FROM reservation_draws d JOIN stock_batches b ON b.id = d.batch_id
     WHERE d.reservation_id = ANY(CAST(:ids AS uuid[]))
     ORDER BY b.expires_on DESC NULLS FIRST, d.batch_id DESC
    """
)
_RAISE_LINES = text(
    """
    UPDATE reservation_lines l SET returned = c.returned, places_returned = c.places_returned
      FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[]), CAST(:returned AS bigint[]), CAST(:places AS bigint[]))
           AS c(id, number, returned, places_returned)
     WHERE l.reservation_id = c.id AND l.number = c.number
    """
)
_RAISE_DRAWS = text(
    """
    UPDATE reservation_draws d SET returned = c.returned, restocked = c.restocked
      FROM unnest(CAST(:ids AS uuid[]), CAST(:lines AS integer[]), CAST(:batches AS uuid[]), CAST(:returned AS bigint[]),
                  CAST(:restocked AS bigint[])) AS c(id, line, batch_id, returned, restocked)
     WHERE d.reservation_id = c.id AND d.line = c.line AND d.batch_id = c.batch_id
    """
)


async def known_returns(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, bytes]:
    """The fingerprints of documents that stand already."""
    return {row.id: bytes(row.fingerprint) for row in await conn.execute(_KNOWN, {"ids": list(ids)})}


async def read_standing(conn: AsyncConnection, states: Mapping[UUID, State]) -> Standing:
    """Lines and draws of locked reservations, with what has come back of them."""
    ids = {"ids": list(states)}
    lines = [LineCounter(**row) for row in (await conn.execute(_LINES, ids)).mappings()]
    draws: dict[tuple[UUID, int], list[DrawCounter]] = {}
    for row in (await conn.execute(_DRAWS, ids)).mappings():
        draws.setdefault((row["reservation_id"], row["line"]), []).append(DrawCounter(**row))
    return Standing(states, {(line.reservation_id, line.number): line for line in lines}, draws)


async def write_returns(conn: AsyncConnection, now: datetime, documents: Sequence[Return]) -> set[UUID]:
    """Insert documents by id; answers those that were not there. One just being written is waited for."""
    rows = [
        {
            "id": document.id,
            "reservation_id": document.reservation_id,
            "gives_back": document.gives_back.value,
            "fingerprint": document.fingerprint,
            "at": now,
        }
        for document in sorted(documents, key=lambda document: document.id)
    ]
    written = await insert_rows(conn, reservation_returns, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    return {row.id for row in written}


async def write_lines(conn: AsyncConnection, documents: Iterable[Return]) -> None:
    """Insert the lines of documents."""
    rows = [
        {"return_id": one.id, "line": line.number, "reservation_id": one.reservation_id, "quantity": line.quantity}
        for one in documents
        for line in one.lines
    ]
    await insert_rows(conn, reservation_return_lines, rows)


async def raise_counters(conn: AsyncConnection, lines: Collection[LineCounter], draws: Collection[DrawCounter]) -> None:
    """Write what has come back of lines and draws."""
    of_lines = {
        "ids": [line.reservation_id for line in lines],
        "numbers": [line.number for line in lines],
        "returned": [line.returned for line in lines],
        "places": [line.places_returned for line in lines],
    }
    of_draws = {
        "ids": [draw.reservation_id for draw in draws],
        "lines": [draw.line for draw in draws],
        "batches": [draw.batch_id for draw in draws],
        "returned": [draw.returned for draw in draws],
        "restocked": [draw.restocked for draw in draws],
    }
    await conn.execute(_RAISE_LINES, of_lines)
    await conn.execute(_RAISE_DRAWS, of_draws)
