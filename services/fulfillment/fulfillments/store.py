"""SQL of fulfillments."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.fulfillments.domain import (
    E_VOUCHER,
    GOODS,
    FulfillmentState,
    Header,
    LineCount,
    Listed,
    Wish,
    first_state,
    parts_of,
)
from services.fulfillment.fulfillments.tables import fulfillment_lines, fulfillments
from services.fulfillment.parcels import reading
from services.fulfillment.parcels import store as parcels
from shared.sets import insert_rows

_HEADERS = text("SELECT id, state, version, fingerprint, accepted_at FROM fulfillments WHERE id = ANY(CAST(:ids AS uuid[]))")
_LISTED = """
    SELECT f.id, f.state, f.version, f.fingerprint IS NULL AS tombstone, f.accepted_at, f.changed_at,
           l.number, l.kind, l.quantity,
           (SELECT count(*) FROM vouchers v WHERE v.fulfillment_id = f.id AND v.line_number = l.number) AS vouchers
      FROM ({}) f
      LEFT JOIN fulfillment_lines l ON l.fulfillment_id = f.id
     ORDER BY f.id, l.number
"""
_PAGE = text(
    _LISTED.format(
        "SELECT * FROM fulfillments WHERE CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid) ORDER BY id LIMIT :most"
    )
)
_SOME = text(_LISTED.format("SELECT * FROM fulfillments WHERE id = ANY(CAST(:ids AS uuid[]))"))

_REPORTED = text(
    """
    UPDATE fulfillments f SET reported_version = told.version
      FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS int[])) AS told(id, version)
     WHERE f.id = told.id AND f.reported_version < told.version
    """
)


async def take_headers(conn: AsyncConnection, now: datetime, wishes: Sequence[Wish]) -> set[UUID]:
    """Write the headers that nobody has written. Those not in the answer stand already; read them.

    A header that another open transaction is just writing makes this wait for its end.
    """
    rows = [
        {
            "id": wish.id,
            "state": first_state(wish).value,
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


async def leave_tombstones(conn: AsyncConnection, now: datetime, ids: Collection[UUID]) -> set[UUID]:
    """Take the ids of cancellations that come before what they cancel. Those not in the answer stand already; lock them.

    A header that another open transaction is just writing makes this wait for its end.
    """
    rows = [{"id": one, "state": FulfillmentState.CANCELLED.value, "version": 1, "changed_at": now} for one in sorted(set(ids))]
    taken = await insert_rows(conn, fulfillments, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    return {row.id for row in taken}


async def read_headers(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Header]:
    """The headers that stand."""
    found = await conn.execute(_HEADERS, {"ids": list(ids)})
    return {
        row.id: Header(
            id=row.id,
            state=FulfillmentState(row.state),
            version=row.version,
            fingerprint=None if row.fingerprint is None else bytes(row.fingerprint),
            accepted_at=row.accepted_at,
        )
        for row in found
    }


async def insert_lines(conn: AsyncConnection, wishes: Sequence[Wish]) -> None:
    """Write the lines of new fulfillments."""
    rows = [
        {"fulfillment_id": wish.id, "number": number, "kind": kind, "quantity": quantity}
        for wish in wishes
        for number, kind, quantity in [
            *((line.number, E_VOUCHER, line.quantity) for line in wish.lines),
            *((reward.line, GOODS, reward.quantity) for reward in wish.goods),
        ]
    ]
    await insert_rows(conn, fulfillment_lines, rows)


async def page(conn: AsyncConnection, after: UUID | None, most: int) -> list[Listed]:
    """Fulfillments in the order of their ids, behind `after`."""
    return await _listed(conn, (await conn.execute(_PAGE, {"after": after, "most": most})).all())


async def some(conn: AsyncConnection, ids: Collection[UUID]) -> list[Listed]:
    """These fulfillments in the order of their ids; those that are not there are left out."""
    return await _listed(conn, (await conn.execute(_SOME, {"ids": sorted(ids)})).all())


async def note_reported(conn: AsyncConnection, told: Sequence[Listed]) -> None:
    """Write down which versions redemption knows."""
    ordered = sorted(told, key=lambda one: one.id)
    values = {"ids": [one.id for one in ordered], "versions": [one.version for one in ordered]}
    await conn.execute(_REPORTED, values)


async def _listed(conn: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Listed]:
    """Headers with their lines, and with their parcels where there are any."""
    with_parcels = {row.id for row in rows if row.kind == GOODS}
    packed = await parcels.of_fulfillments(conn, with_parcels) if with_parcels else []
    rewards = await reading.rewards_in(conn, [parcel.id for parcel in packed]) if packed else {}
    lines_in = {parcel_id: [reward.line for reward in found] for parcel_id, found in rewards.items()}
    found = []
    for one, grouped in groupby(rows, key=lambda row: row.id):
        lines = list(grouped)
        head = lines[0]
        counts = [LineCount(x.number, x.kind, x.quantity, x.vouchers) for x in lines if x.number is not None]
        vouchers = [line.number for line in counts if line.kind == E_VOUCHER]
        parts = parts_of(head.accepted_at, vouchers, [p for p in packed if p.fulfillment_id == one], lines_in)
        state = FulfillmentState(head.state)
        found.append(Listed(one, state, head.version, head.tombstone, head.changed_at, counts, parts))
    return found
