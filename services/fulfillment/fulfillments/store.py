"""SQL of fulfillments."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.fulfillments.domain import FulfillmentState, Header, LineCount, Listed, Wish
from services.fulfillment.fulfillments.tables import fulfillment_lines, fulfillments
from shared.sets import insert_rows

_HEADERS = text("SELECT id, state, version, fingerprint FROM fulfillments WHERE id = ANY(CAST(:ids AS uuid[]))")
_PAGE = text(
    """
    SELECT f.id, f.state, f.changed_at, l.number, l.quantity,
           (SELECT count(*) FROM vouchers v WHERE v.fulfillment_id = f.id AND v.line_number = l.number) AS vouchers
      FROM (SELECT id, state, changed_at FROM fulfillments
             WHERE CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid) ORDER BY id LIMIT :most) f
      LEFT JOIN fulfillment_lines l ON l.fulfillment_id = f.id
     ORDER BY f.id, l.number
    """
)


async def take_headers(conn: AsyncConnection, now: datetime, wishes: Sequence[Wish]) -> set[UUID]:
    """Write the headers that nobody has written. Those not in the answer stand already; read them.

    A header that another open transaction is just writing makes this wait for its end.
    """
    rows = [
        {
            "id": wish.id,
            "state": FulfillmentState.ISSUED.value,
            "version": 1,
            "fingerprint": wish.fingerprint,
            "customer_id": wish.customer_id,
            "owner_issuer": wish.owner.issuer,
            "owner_subject": wish.owner.subject,
            "campaign": wish.campaign,
            "accepted_at": now,
            "changed_at": now,
        }
        for wish in sorted(wishes, key=lambda wish: wish.id)
    ]
    taken = await insert_rows(conn, fulfillments, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    return {row.id for row in taken}


async def read_headers(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Header]:
    """The headers that stand."""
    found = await conn.execute(_HEADERS, {"ids": list(ids)})
    return {
        row.id: Header(row.id, FulfillmentState(row.state), row.version, bytes(row.fingerprint) if row.fingerprint else None)
        for row in found
    }


async def insert_lines(conn: AsyncConnection, wishes: Sequence[Wish]) -> None:
    """Write the lines of new fulfillments."""
    rows = [
        {"fulfillment_id": wish.id, "number": line.number, "kind": "e_voucher", "quantity": line.quantity}
        for wish in wishes
        for line in wish.lines
    ]
    await insert_rows(conn, fulfillment_lines, rows)


async def page(conn: AsyncConnection, after: UUID | None, most: int) -> list[Listed]:
    """Fulfillments in the order of their ids, behind `after`."""
    rows = (await conn.execute(_PAGE, {"after": after, "most": most})).all()
    found = []
    for (one, state, changed_at), lines in groupby(rows, key=lambda row: (row.id, row.state, row.changed_at)):
        counts = [LineCount(row.number, row.quantity, row.vouchers) for row in lines if row.number is not None]
        found.append(Listed(one, FulfillmentState(state), changed_at, counts))
    return found
