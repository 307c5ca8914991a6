"""The redemptions' SQL: everything is a set, whether one redemption is written or sixty-four."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.redemptions.domain import TASK_OF, Redemption, State, TimelineEntry
from services.redemption.redemptions.tables import limit_counters, redemption_events, redemption_lines, redemptions
from shared.sets import as_json, insert_rows
from shared.statements import execute, fetch

_COLUMNS = (
    "id, customer_id, account_id, campaign, mode, state, price_points, accepted_at, accepted_on, deadline_at, changed_at, "
    "events_count, reasons, actor, channel"
)
_NAMES = tuple(_COLUMNS.split(", "))
_READ = text(f"SELECT {_COLUMNS} FROM redemptions WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id")
_LOCK = text(f"SELECT {_COLUMNS} FROM redemptions WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_OF_CUSTOMER = text(
    f"SELECT {_COLUMNS} FROM redemptions WHERE customer_id = :customer "
    "AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid)) ORDER BY id DESC LIMIT :most"
)
_AFTER = text(f"SELECT {_COLUMNS} FROM redemptions WHERE id > :after ORDER BY id LIMIT :most")
_LINES = text(
    """
    SELECT redemption_id, number, offer_id, offer_version, reward, quantity, unit_points, limit_keys FROM redemption_lines
     WHERE redemption_id = ANY(CAST(:ids AS uuid[])) ORDER BY redemption_id, number
    """
)
_EVENTS = text("SELECT number, at, kind, actor, facts FROM redemption_events WHERE redemption_id = :id ORDER BY number")
_SAVE = text(
    """
    UPDATE redemptions r SET state = n.state, reasons = CAST(n.reasons AS jsonb), events_count = n.count, changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]), CAST(:counts AS int[]))
           AS n(id, state, reasons, count)
     WHERE r.id = n.id
    """
)
_COUNTERS = text(
    """
    SELECT c.customer_id, c.limit_key, c.taken FROM limit_counters c
      JOIN unnest(CAST(:customers AS uuid[]), CAST(:keys AS text[])) AS asked(customer_id, limit_key)
        ON c.customer_id = asked.customer_id AND c.limit_key = asked.limit_key
    """
)
# A counter that has drifted is found by the check of the books; it holds up neither this redemption nor those beside it.
_GIVE_BACK = text(
    """
    UPDATE limit_counters c SET taken = greatest(0, c.taken - n.taken)
      FROM unnest(CAST(:customers AS uuid[]), CAST(:keys AS text[]), CAST(:taken AS int[])) AS n(customer_id, limit_key, taken)
     WHERE c.customer_id = n.customer_id AND c.limit_key = n.limit_key
    """
)
_STRANDED = text(
    """
    SELECT r.id, r.state FROM redemptions r
      JOIN unnest(CAST(:live AS text[]), CAST(:kinds AS text[])) AS carried(state, kind) ON carried.state = r.state
     WHERE r.state IN ('accepted', 'confirmed', 'delivering', 'cancelling') AND r.changed_at < :before
       AND NOT EXISTS (SELECT FROM tasks t WHERE t.ref = r.id AND t.state <> 'done' AND t.kind = carried.kind)
     ORDER BY r.id LIMIT :most
    """
)

LineRow = Mapping[str, Any]


def _redemption(row: Any) -> Redemption:
    return Redemption(**{**dict(zip(_NAMES, row, strict=True)), "state": State(row.state)})


async def insert_redemptions(conn: AsyncConnection, new: Sequence[Redemption]) -> None:
    """New headers."""
    await insert_rows(conn, redemptions, [{name: getattr(r, name) for name in Redemption.__slots__} for r in new])


async def insert_lines(conn: AsyncConnection, rows: Sequence[LineRow]) -> None:
    """The lines of new redemptions."""
    await insert_rows(conn, redemption_lines, rows)


async def insert_events(conn: AsyncConnection, events: Sequence[tuple[UUID, TimelineEntry]]) -> None:
    """What happened, for the timelines."""
    await insert_rows(
        conn,
        redemption_events,
        [
            {
                "redemption_id": redemption_id,
                "number": entry.number,
                "at": entry.at,
                "kind": entry.kind,
                "actor": entry.actor,
                "facts": entry.facts,
            }
            for redemption_id, entry in events
        ],
    )


async def read(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Redemption]:
    """Redemptions as they stand."""
    return {row.id: _redemption(row) for row in await fetch(conn, _READ, {"ids": list(ids)})}


async def lock(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Redemption]:
    """Redemptions under their rows' locks, taken in the order of their ids."""
    return {row.id: _redemption(row) for row in await fetch(conn, _LOCK, {"ids": sorted(ids)})}


async def read_of_customer(conn: AsyncConnection, customer_id: UUID, *, before: UUID | None, most: int) -> list[Redemption]:
    """A customer's redemptions, the newest first."""
    found = await conn.execute(_OF_CUSTOMER, {"customer": customer_id, "before": before, "most": most})
    return [_redemption(row) for row in found]


async def read_after(conn: AsyncConnection, after: UUID, most: int) -> list[Redemption]:
    """All redemptions in the order of their ids, for the check of the books."""
    return [_redemption(row) for row in await conn.execute(_AFTER, {"after": after, "most": most})]


async def read_lines(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, list[LineRow]]:
    """Lines by redemption."""
    lines: dict[UUID, list[LineRow]] = defaultdict(list)
    for row in (await conn.execute(_LINES, {"ids": list(ids)})).mappings():
        lines[row["redemption_id"]].append(dict(row))
    return lines


async def read_events(conn: AsyncConnection, redemption_id: UUID) -> list[TimelineEntry]:
    """One timeline."""
    return [TimelineEntry(*row) for row in await conn.execute(_EVENTS, {"id": redemption_id})]


async def save(conn: AsyncConnection, changed: Sequence[Redemption], now: datetime) -> None:
    """Write new states."""
    if changed:
        await execute(
            conn,
            _SAVE,
            {
                "ids": [r.id for r in changed],
                "states": [r.state.value for r in changed],
                "reasons": [as_json(r.reasons) for r in changed],
                "counts": [r.events_count for r in changed],
                "now": now,
            },
        )


async def read_counters(conn: AsyncConnection, asked: Sequence[tuple[UUID, str]]) -> dict[UUID, dict[str, int]]:
    """How much customers have taken, by customer and limit. Their accounts' locks keep the numbers still."""
    taken: dict[UUID, dict[str, int]] = defaultdict(dict)
    if asked:
        values = {"customers": [customer for customer, _ in asked], "keys": [key for _, key in asked]}
        for row in await fetch(conn, _COUNTERS, values):
            taken[row.customer_id][row.limit_key] = row.taken
    return taken


async def add_to_counters(conn: AsyncConnection, changes: Mapping[tuple[UUID, str], int]) -> None:
    """Take (above zero) or give back (below zero)."""
    new = [{"customer_id": c, "limit_key": k, "taken": n} for (c, k), n in sorted(changes.items()) if n > 0]
    await insert_rows(
        conn,
        limit_counters,
        new,
        tail="ON CONFLICT (customer_id, limit_key) DO UPDATE SET taken = limit_counters.taken + excluded.taken",
    )
    back = [(customer, key, -n) for (customer, key), n in sorted(changes.items()) if n < 0]
    if back:
        await execute(
            conn,
            _GIVE_BACK,
            {"customers": [c for c, _, _ in back], "keys": [k for _, k, _ in back], "taken": [n for _, _, n in back]},
        )


async def read_stranded(conn: AsyncConnection, *, before: datetime, most: int) -> list[tuple[UUID, State]]:
    """Live redemptions without the task of their state: nothing would carry them on."""
    states = list(TASK_OF)
    values = {
        "live": [state.value for state in states],
        "kinds": [TASK_OF[state] for state in states],
        "before": before,
        "most": most,
    }
    return [(row.id, State(row.state)) for row in await conn.execute(_STRANDED, values)]
