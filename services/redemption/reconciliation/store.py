"""The SQL of runs and breaks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.reconciliation.domain import Break, KnownBreak, owner_of
from services.redemption.reconciliation.tables import breaks, reconciliation_runs
from shared.ids import new_id
from shared.sets import insert_rows

_SEEN_AGAIN = (
    "ON CONFLICT (service, kind, subject) WHERE ended_at IS NULL DO UPDATE SET detail = excluded.detail, "
    "last_seen_at = greatest(breaks.last_seen_at, excluded.last_seen_at) RETURNING (xmax = 0) AS is_new, service, kind, owner"
)
_COUNT = text(
    """
    UPDATE reconciliation_runs SET redemptions = redemptions + :redemptions, reservations = reservations + :reservations,
           fulfillments = fulfillments + :fulfillments, breaks = breaks + :breaks
     WHERE id = :run AND ended_at IS NULL RETURNING id
    """
)
_END_RUN = text(
    "UPDATE reconciliation_runs SET ended_at = greatest(:now, started_at), error = :error WHERE id = :run AND ended_at IS NULL "
    "RETURNING started_at"
)
_END_BREAKS = text(
    "UPDATE breaks SET ended_at = greatest(:now, last_seen_at) WHERE ended_at IS NULL AND last_seen_at < :started RETURNING id"
)
_ABANDON = text(
    """
    UPDATE reconciliation_runs SET ended_at = greatest(:now, started_at), error = 'abandoned'
     WHERE ended_at IS NULL AND (asked_by = :schedule OR started_at < :before)
    """
)
_STEP_IS_LIVE = text("SELECT EXISTS (SELECT FROM tasks WHERE kind = :kind AND state = 'ready')")
_LAST_ERROR = text("SELECT last_error FROM tasks WHERE id = :task")
_PURGE = text("DELETE FROM reconciliation_runs WHERE started_at < :before")
_LAST_GOOD = text("SELECT max(ended_at) FROM reconciliation_runs WHERE ended_at IS NOT NULL AND error IS NULL")
_SHOWN = "id, service, kind, subject, detail, owner, first_seen_at, last_seen_at, ended_at"
_BREAKS = text(
    f"""
    SELECT {_SHOWN} FROM breaks
     WHERE (CAST(:is_open AS boolean) IS NULL OR (ended_at IS NULL) = CAST(:is_open AS boolean))
       AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid))
     ORDER BY id DESC LIMIT :most
    """
)


async def insert_run(conn: AsyncConnection, asked_by: str, now: datetime) -> UUID:
    """A run begins."""
    run = new_id()
    await insert_rows(conn, reconciliation_runs, [{"id": run, "asked_by": asked_by, "started_at": now}])
    return run


async def count(conn: AsyncConnection, run: UUID, counts: tuple[int, int, int], found: int) -> bool:
    """Add what a part of a run compared. False when the run is over: somebody gave it up."""
    names = dict(zip(("redemptions", "reservations", "fulfillments"), counts, strict=True))
    return (await conn.execute(_COUNT, {"run": run, **names, "breaks": found})).first() is not None


async def save_breaks(conn: AsyncConnection, found: Sequence[Break], now: datetime) -> list[tuple[str, str, str]]:
    """Write what was found; what is known already was seen again. Answers service, kind and owner of those that are new."""
    rows = {
        (b.service, b.kind, b.subject): {
            "id": new_id(),
            "service": b.service,
            "kind": b.kind,
            "subject": b.subject,
            "detail": b.detail,
            "owner": owner_of(b.kind),
            "first_seen_at": now,
            "last_seen_at": now,
        }
        for b in sorted(found)
    }
    written = await insert_rows(conn, breaks, list(rows.values()), tail=_SEEN_AGAIN)
    return [(row.service, row.kind, row.owner) for row in written if row.is_new]


async def end_run(conn: AsyncConnection, run: UUID, now: datetime, *, error: str | None = None) -> None:
    """A run is over. One that came to its end has seen every break that there is: those that it did not see are gone."""
    started_at = (await conn.execute(_END_RUN, {"run": run, "now": now, "error": error})).scalar_one_or_none()
    if started_at is not None and error is None:
        await conn.execute(_END_BREAKS, {"now": now, "started": started_at})


async def is_stepping(conn: AsyncConnection, kind: str) -> bool:
    """Whether a run is under way in the worker."""
    return bool((await conn.execute(_STEP_IS_LIVE, {"kind": kind})).scalar_one())


async def read_last_error(conn: AsyncConnection, task: UUID) -> str:
    """Why a task failed the last time."""
    return (await conn.execute(_LAST_ERROR, {"task": task})).scalar_one_or_none() or "unknown"


async def abandon_runs(conn: AsyncConnection, now: datetime, *, schedule: str, before: datetime) -> None:
    """Close what nobody carries on: runs of the schedule, and others that began long ago."""
    await conn.execute(_ABANDON, {"now": now, "schedule": schedule, "before": before})


async def purge_runs(conn: AsyncConnection, before: datetime) -> None:
    """Forget old runs."""
    await conn.execute(_PURGE, {"before": before})


async def read_breaks(conn: AsyncConnection, *, is_open: bool | None, before: UUID | None, most: int) -> list[KnownBreak]:
    """Breaks, the newest first: open ones, ended ones, or both."""
    found = await conn.execute(_BREAKS, {"is_open": is_open, "before": before, "most": most})
    return [KnownBreak(**row._mapping) for row in found]


async def read_last_good(conn: AsyncConnection) -> datetime | None:
    """When the last run came to its end."""
    ended_at: datetime | None = (await conn.execute(_LAST_GOOD)).scalar_one()
    return ended_at
