"""SQL of reservations: headers taken or met by id, the offers in force, lines and draws."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.reservations.domain import Decision, OfferInForce, Outcome, Reason, State, Wish
from services.catalog.reservations.tables import reservation_draws, reservation_lines, reservations
from shared.sets import as_json, insert_rows
from shared.statements import execute, fetch, fetch_named

_READ = text("SELECT id, state, fingerprint, reasons FROM reservations WHERE id = ANY(CAST(:ids AS uuid[]))")
_LOCK = text("SELECT id, state FROM reservations WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_REFUSE = text(
    """
    UPDATE reservations r SET state = 'refused', reasons = CAST(d.reasons AS jsonb)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS d(id, reasons) WHERE r.id = d.id
    """
)
_SETTLE = text("UPDATE reservations SET state = :state, changed_at = :now WHERE id = ANY(CAST(:ids AS uuid[]))")
_IN_FORCE = text(
    """
    SELECT o.id, o.campaign_code AS campaign, o.reward_code AS reward, c.state = 'live' AS campaign_live,
           c.opens_on AS campaign_opens_on, c.closes_on AS campaign_closes_on, o.live_version AS version,
           v.price_points, v.unit_cost_minor, v.opens_on, v.closes_on
      FROM offers o
      JOIN campaigns c ON c.code = o.campaign_code
      LEFT JOIN offer_versions v ON v.offer_id = o.id AND v.number = o.live_version
     WHERE o.id = ANY(CAST(:ids AS uuid[]))
    """
)
_LINES = text(
    """
    SELECT l.reservation_id, r.campaign_code, l.number, l.offer_id, l.counted_on, l.quantity - l.returned AS units_left,
           l.cost_minor / l.quantity * (l.quantity - l.returned) AS cost_left_minor
      FROM reservation_lines l JOIN reservations r ON r.id = l.reservation_id
     WHERE l.reservation_id = ANY(CAST(:ids AS uuid[]))
    """
)
_DRAWS = text(
    """
    SELECT reservation_id, line, batch_id, quantity - returned AS units_left FROM reservation_draws
     WHERE reservation_id = ANY(CAST(:ids AS uuid[]))
    """
)
_PAGE = text(
    """
    SELECT r.id, r.campaign_code AS campaign, r.state, r.changed_at, l.lines
      FROM reservations r
     CROSS JOIN LATERAL (
           SELECT coalesce(jsonb_agg(jsonb_build_object('number', number, 'quantity', quantity, 'returned', returned)
                                     ORDER BY number), '[]') AS lines
             FROM reservation_lines WHERE reservation_id = r.id) l
     WHERE (CAST(:after AS uuid) IS NULL OR r.id > CAST(:after AS uuid)) ORDER BY r.id LIMIT :most
    """
)


async def take_headers(conn: AsyncConnection, now: datetime, wishes: Iterable[Wish]) -> set[UUID]:
    """Insert headers as held, by id; answers those that were not there. One just being written is waited for.

    From here to the commit nobody else can write a header of these ids: neither reserve nor leave a tombstone.
    """
    rows = [
        {
            "id": wish.id,
            "state": State.HELD.value,
            "campaign_code": wish.campaign,
            "fingerprint": wish.fingerprint,
            "changed_at": now,
        }
        for wish in sorted(wishes, key=lambda wish: wish.id)
    ]
    taken = await insert_rows(conn, reservations, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    return {row.id for row in taken}


async def leave_tombstones(conn: AsyncConnection, now: datetime, ids: Iterable[UUID]) -> set[UUID]:
    """Insert released headers for ids that have none; answers those (G10)."""
    rows = [{"id": one, "state": State.RELEASED.value, "changed_at": now} for one in sorted(ids)]
    left = await insert_rows(conn, reservations, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    return {row.id for row in left}


async def read_headers(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """State, fingerprint and reasons by id."""
    return {row["id"]: row for row in await fetch_named(conn, _READ, {"ids": list(ids)})}


async def lock_headers(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, State]:
    """Lock headers in the order of their ids; their states."""
    return {row.id: State(row.state) for row in await fetch(conn, _LOCK, {"ids": list(ids)})}


async def refuse_headers(conn: AsyncConnection, refused: Sequence[Outcome]) -> None:
    """Keep the reasons, so that the same question gets the same answer."""
    if refused:
        reasons = [as_json([reason_to_json(reason) for reason in outcome.reasons]) for outcome in refused]
        await execute(conn, _REFUSE, {"ids": [outcome.id for outcome in refused], "reasons": reasons})


async def settle_headers(conn: AsyncConnection, now: datetime, ids: Sequence[UUID], state: State) -> None:
    """Move held headers on."""
    await execute(conn, _SETTLE, {"ids": list(ids), "state": state.value, "now": now})


async def offers_in_force(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, OfferInForce]:
    """The offers as they stand now, of campaigns that were ever published; read after their counters are locked."""
    found = await fetch_named(conn, _IN_FORCE, {"ids": list(ids)})
    return {row["id"]: OfferInForce(**row) for row in found if row["campaign_opens_on"] is not None}


async def write_lines(conn: AsyncConnection, decision: Decision) -> None:
    """Write what was granted."""
    lines = [
        {
            "reservation_id": taken.reservation_id,
            "number": taken.line.number,
            "offer_id": taken.line.offer_id,
            "offer_version": taken.line.offer_version,
            "quantity": taken.line.quantity,
            "cost_minor": taken.cost_minor,
            "counted_on": taken.counted_on,
        }
        for taken in decision.lines
    ]
    draws = [
        {
            "reservation_id": draw.reservation_id,
            "line": draw.line,
            "batch_id": draw.batch_id,
            "quantity": draw.quantity,
        }
        for draw in decision.draws
    ]
    await insert_rows(conn, reservation_lines, lines)
    await insert_rows(conn, reservation_draws, draws)


async def lines_of(conn: AsyncConnection, ids: Iterable[UUID]) -> Sequence[Mapping[str, Any]]:
    """The lines of reservations, with what no return document has given back of them."""
    return await fetch_named(conn, _LINES, {"ids": list(ids)})


async def draws_of(conn: AsyncConnection, ids: Iterable[UUID]) -> Sequence[Mapping[str, Any]]:
    """What the lines of reservations drew and has not come back."""
    return await fetch_named(conn, _DRAWS, {"ids": list(ids)})


async def page(conn: AsyncConnection, after: UUID | None, most: int) -> Sequence[RowMapping]:
    """Reservations in the order of their ids."""
    return (await conn.execute(_PAGE, {"after": after, "most": most})).mappings().all()


def reason_to_json(reason: Reason) -> dict[str, Any]:
    """A reason as it is kept and answered."""
    return {"code": reason.code, "line": reason.line, "facts": dict(reason.facts)}


def reason_from_json(kept: Mapping[str, Any]) -> Reason:
    """A reason as it was kept."""
    return Reason(kept["code"], kept["line"], kept["facts"])
