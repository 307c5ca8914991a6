"""Reconciling: three services' books, each with itself and all with each other, through their APIs (P4, G8).

Every five minutes as a task, and now when an operator asks; both write the same rows. Books grow for ever, so a run goes in
steps: each reads for a few seconds, writes what it found, and leaves the place where the next one begins in that one's task.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.parts import Parts
from services.redemption.reconciliation import store
from services.redemption.reconciliation.between import compare_page
from services.redemption.reconciliation.domain import Break
from services.redemption.reconciliation.own_books import BOOKS
from shared.errors import DomainError
from shared.tasks import Claim, NewTask

SETTLE_SECONDS = 3.0
STEP_SECONDS = 2.0
"""A step looks at no further part after this long. Its last part may take that long again, and what is found must settle."""
EVERY_SECONDS = 300
TRIES_MAX = 8
RUNS_KEPT = timedelta(days=90)
ABANDONED_AFTER = timedelta(hours=1)
RECONCILE, STEP = "reconcile", "reconcile_step"
SCHEDULE = "schedule"
FIRST = UUID(int=0)

log = structlog.get_logger()


class Place(NamedTuple):
    """Where a run is: in whose books, and after which key there."""

    books: str
    after: str | None


START = Place("catalog", None)
THEN = {"catalog": "fulfillment", "fulfillment": "redemption", "redemption": "between"}


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and what does not fit."""

    redemptions: int
    reservations: int
    fulfillments: int
    breaks: list[Break]


@dataclass(slots=True)
class _Seen:
    """What a part of a run saw, and where the next one begins; None at the end."""

    place: Place | None
    counts: tuple[int, int, int] = (0, 0, 0)
    breaks: list[Break] = field(default_factory=list)


async def reconcile(parts: Parts, *, asked_by: str = "operator", settle_seconds: float = SETTLE_SECONDS) -> Report:
    """Compare all books now. Raises NeighbourUnavailable when a service does not answer."""
    async with parts.database.transaction() as conn:
        run = await store.insert_run(conn, asked_by, await parts.clock.now(conn))
    place: Place | None = START
    counts, breaks = (0, 0, 0), list[Break]()
    try:
        while place is not None:
            seen = await _look(parts, place, settle_seconds)
            place, counts = seen.place, _added(counts, seen.counts)
            breaks += seen.breaks
            async with parts.database.transaction() as conn:
                await _save(parts, conn, run, seen)
    except Exception as error:
        async with parts.database.transaction() as conn:
            await store.end_run(
                conn,
                run,
                await parts.clock.now(conn),
                error=str(error) if isinstance(error, DomainError) else type(error).__name__,
            )
        raise
    return Report(*counts, sorted(breaks))


async def start_claimed(parts: Parts, claims: Sequence[Claim]) -> None:
    """The schedule's moment: begin a run, unless the last one is still going."""
    async with parts.database.transaction() as conn:
        if not await parts.tasks.finish(conn, claims) or await store.is_stepping(conn, STEP):
            return
        now = await parts.clock.now(conn)
        await store.abandon_runs(conn, now, schedule=SCHEDULE, before=now - ABANDONED_AFTER)
        await store.purge_runs(conn, now - RUNS_KEPT)
        run = await store.insert_run(conn, SCHEDULE, now)
        await parts.tasks.add(conn, [_step(run, START, now)])


async def step_claimed(parts: Parts, claims: Sequence[Claim], *, settle_seconds: float = SETTLE_SECONDS) -> None:
    """Carry a run on for a few seconds; after too many failures in a row it is given up, and the schedule begins another."""
    [claim] = claims
    run, place = UUID(claim.payload["run"]), Place(*claim.payload["place"])
    gives_up = claim.failures >= TRIES_MAX
    seen = _Seen(place) if gives_up else await _look_for_a_while(parts, place, settle_seconds)
    async with parts.database.transaction() as conn:
        if not await parts.tasks.finish(conn, claims):
            return
        if gives_up:
            reason = await store.read_last_error(conn, claim.id)
            log.error("reconciliation_given_up", run=str(run), error=reason)
            await store.end_run(conn, run, await parts.clock.now(conn), error=reason)
            return
        now = await _save(parts, conn, run, seen)
        if now is not None and seen.place is not None:
            await parts.tasks.add(conn, [_step(run, seen.place, now)])


def _step(run: UUID, place: Place, now: datetime) -> NewTask:
    return NewTask(kind=STEP, ref=run, payload={"run": str(run), "place": list(place)}, run_at=now, dedupe_key=str(run))


async def _look_for_a_while(parts: Parts, place: Place, settle_seconds: float) -> _Seen:
    """Part after part until the time of a step is over, or something had to settle."""
    ends_at = asyncio.get_running_loop().time() + STEP_SECONDS
    seen = _Seen(place)
    while seen.place is not None:
        part = await _look(parts, seen.place, settle_seconds)
        seen = _Seen(part.place, _added(seen.counts, part.counts), seen.breaks + part.breaks)
        if part.breaks or asyncio.get_running_loop().time() >= ends_at:
            break
    return seen


async def _look(parts: Parts, place: Place, settle_seconds: float) -> _Seen:
    """One part of the books, small enough for one look."""
    if place.books == "between":
        page = await compare_page(parts, UUID(place.after) if place.after else FIRST, settle_seconds=settle_seconds)
        counts = page.redemptions, page.reservations, page.fulfillments
        return _Seen(None if page.following is None else Place("between", str(page.following)), counts, page.breaks)
    if place.books == "redemption":
        own = await BOOKS.find_page(parts.database, place.after)
        following, found = own.following, [Break("redemption", *b) for b in own.breaks]
    else:
        neighbour = parts.catalog if place.books == "catalog" else parts.fulfillment
        theirs, following = await neighbour.breaks(place.after)
        found = [Break(place.books, b["kind"], b["subject"], b["detail"]) for b in theirs]
    return _Seen(Place(THEN[place.books], None) if following is None else Place(place.books, following), breaks=found)


async def _save(parts: Parts, conn: AsyncConnection, run: UUID, seen: _Seen) -> datetime | None:
    """Write what a part saw, and at the end that the run is over. None when somebody gave the run up meanwhile."""
    now = await parts.clock.now(conn)
    different = {(b.service, b.kind, b.subject) for b in seen.breaks}  # two lines of one parcel are one break
    if not await store.count(conn, run, seen.counts, len(different)):
        return None
    for service, kind, owner in await store.save_breaks(conn, seen.breaks, now):
        log.error("break_found", service=service, kind=kind, owner=owner)
    if seen.place is None:
        await store.end_run(conn, run, now)
    return now


def _added(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
