"""Adding, claiming, finishing, deferring and parking tasks: the statements, all of them sets."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ids import new_id
from shared.metrics import CLAIMS_LOST, FENCES_LOST
from shared.sets import insert_rows
from shared.settings import LEASE_SECONDS
from shared.statements import fetch
from shared.tasks.tables import SUSPECT_FROM_CLAIMS, TaskTables

CLAIMS_UNRETURNED_MAX = 5
BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_SECONDS_MAX = 60.0
ERROR_CHARACTERS_MAX = 500

# In the statement itself and not among its values, so that the index on these few tasks serves it: without it each claim would
# read everything that is due, and the longer the queue, the slower it would get shorter.
_SUSPECT = f"state = 'ready' AND claims_unreturned >= {SUSPECT_FROM_CLAIMS}"

# `= ANY(ARRAY(…))` and not `IN (…)`: a plan may run the latter once a row, and then its LIMIT holds nothing back.
_PARK = text(
    f"""
    UPDATE tasks SET state = 'parked', lease_until = NULL, changed_at = clock_timestamp(),
           last_error = 'taken ' || claims_unreturned || ' times and never returned; ' || coalesce(last_error, 'no error seen')
     WHERE id = ANY(ARRAY(SELECT id FROM tasks
                   WHERE {_SUSPECT} AND kind = ANY(CAST(:kinds AS text[])) AND claims_unreturned >= :claims_max
                     AND lease_until < clock_timestamp()
                   ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED))
    RETURNING id, kind
    """
)
# `statement_timestamp()` is stable, so that the index on (kind, run_at) ends the search; `clock_timestamp()` would read every
# timer that lies ahead. Kind by kind that index gives the order too, and what is due need not be sorted. A task whose claims
# were lost twice is taken alone: were it to kill its process again, it would not take its neighbours' counters up with it.
_CLAIM = text(
    f"""
    WITH suspect AS (
        SELECT id FROM tasks
         WHERE {_SUSPECT} AND kind = ANY(CAST(:kinds AS text[])) AND run_at <= statement_timestamp()
           AND claims_unreturned < :claims_max
           AND (lease_until IS NULL OR lease_until < clock_timestamp())
         ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED),
    others AS (
        SELECT due.id FROM unnest(CAST(:kinds AS text[])) AS wanted(kind)
         CROSS JOIN LATERAL (
             SELECT id, run_at FROM tasks
              WHERE state = 'ready' AND kind = wanted.kind AND run_at <= statement_timestamp()
                AND claims_unreturned < {SUSPECT_FROM_CLAIMS}
                AND (lease_until IS NULL OR lease_until < clock_timestamp())
              ORDER BY run_at LIMIT :most FOR UPDATE SKIP LOCKED) AS due
         WHERE NOT EXISTS (SELECT FROM suspect)
         ORDER BY due.run_at LIMIT :most)
    UPDATE tasks SET token = token + 1, claims_unreturned = claims_unreturned + 1, rerun = false,
           lease_until = clock_timestamp() + make_interval(secs => :lease), changed_at = clock_timestamp()
     WHERE id IN (SELECT id FROM suspect UNION ALL SELECT id FROM others)
    RETURNING id, kind, ref, payload, token, failures, created_at, claims_unreturned
    """
)
# One UPDATE, not a DELETE beside it: after waiting for a row PostgreSQL looks at that row again, so `rerun` is never missed.
_FINISH = text(
    """
    UPDATE tasks t SET state = CASE WHEN t.rerun THEN 'ready' ELSE 'done' END, rerun = false, lease_until = NULL,
           claims_unreturned = 0, failures = 0, changed_at = clock_timestamp()
      FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[])) AS held(id, token)
     WHERE t.id = held.id AND t.token = held.token AND t.state = 'ready'
    RETURNING t.id
    """
)
_DEFER = text(
    """
    UPDATE tasks t SET lease_until = NULL, claims_unreturned = 0, failures = t.failures + 1, changed_at = clock_timestamp(),
           run_at = clock_timestamp() + make_interval(secs => CASE WHEN t.rerun THEN 0 ELSE held.delay END),
           rerun = false, last_error = held.reason
      FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[]), CAST(:delays AS float8[]), CAST(:reasons AS text[]))
           AS held(id, token, delay, reason)
     WHERE t.id = held.id AND t.token = held.token AND t.state = 'ready'
    RETURNING t.id
    """
)
_PURGE = text(
    """
    DELETE FROM tasks WHERE id = ANY(ARRAY(SELECT id FROM tasks WHERE state = 'done'
                                      AND changed_at < clock_timestamp() - make_interval(secs => :age)
                                    ORDER BY changed_at LIMIT :most FOR UPDATE SKIP LOCKED))
    """
)
_PURGE_TICKS = text(  # the last one of a schedule stays however old it is: it says that its moment was taken
    "DELETE FROM schedule_ticks old WHERE tick < clock_timestamp() - make_interval(secs => :age) "
    "AND EXISTS (SELECT FROM schedule_ticks later WHERE later.name = old.name AND later.tick > old.tick)"
)
_ON_DUPLICATE = (
    "ON CONFLICT (kind, dedupe_key) WHERE state = 'ready' DO UPDATE SET rerun = (tasks.lease_until IS NOT NULL), "
    "run_at = CASE WHEN tasks.lease_until IS NULL THEN least(tasks.run_at, excluded.run_at) ELSE tasks.run_at END"
)
# From kind to kind along the index on (kind, run_at): a plain GROUP BY would read every timer that lies ahead.
_OLDEST = text(
    """
    WITH RECURSIVE kinds AS (
        SELECT min(kind) AS kind FROM tasks WHERE state = 'ready'
        UNION ALL
        SELECT (SELECT min(kind) FROM tasks WHERE state = 'ready' AND kind > kinds.kind)
          FROM kinds WHERE kinds.kind IS NOT NULL)
    SELECT kind, greatest(extract(epoch FROM clock_timestamp() - (
                 SELECT min(run_at) FROM tasks WHERE state = 'ready' AND kind = kinds.kind)), 0) AS seconds
      FROM kinds WHERE kind IS NOT NULL
    """
)
_PARKED = text("SELECT kind, count(*) AS number FROM tasks WHERE state = 'parked' GROUP BY kind")
_TICK = text("INSERT INTO schedule_ticks (name, tick) VALUES (:name, :tick) ON CONFLICT DO NOTHING RETURNING 1")


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """Work to be written down. `leased_seconds` above zero means that the writer itself starts on it."""

    kind: str
    ref: UUID | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    run_at: datetime
    dedupe_key: str | None = None
    leased_seconds: float = 0.0


@dataclass(frozen=True)
class Claim:
    """A task in hand: whoever shows this token while it is still the last one may finish it."""

    id: UUID
    kind: str
    ref: UUID | None
    payload: dict[str, Any]
    token: int
    failures: int
    created_at: datetime


@dataclass(frozen=True)
class Again:
    """A clean failure: why, and when to try again (None: by the back-off)."""

    reason: str
    after_seconds: float | None = None


def backoff_seconds(failures: int) -> float:
    """Full jitter: anything up to 0.2 s doubled with each failure, at most a minute."""
    ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 16))
    return random.uniform(0.0, ceiling)  # noqa: S311 - spreads load, guards nothing


def _folded(new: Sequence[NewTask]) -> list[tuple[UUID, NewTask]]:
    """Each task with its id; of those for the same thing one, due when the first of them is."""
    kept: dict[object, tuple[UUID, NewTask]] = {}
    for task in new:
        same = (task.kind, task.dedupe_key) if task.dedupe_key is not None else object()
        task_id, known = kept.get(same, (new_id(), task))
        kept[same] = (task_id, task if task.run_at < known.run_at else known)
    return list(kept.values())


class Tasks:
    """The tasks of one service."""

    def __init__(self, tables: TaskTables, *, lease_seconds: float = LEASE_SECONDS) -> None:
        """The lease must be longer than any step; tests shorten both."""
        self._tables = tables
        self.lease_seconds = lease_seconds

    async def add(self, conn: AsyncConnection, new: Sequence[NewTask]) -> list[Claim]:
        """Write tasks in the caller's transaction. Returns the claims of those leased to the writer, in their order.

        A duplicate (kind and dedupe key) of a live task adds none: it asks the live one to run once more, and gives no claim.
        """
        wanted = _folded(new)
        rows: list[dict[str, Any]] = [
            {
                "id": task_id,
                "kind": task.kind,
                "ref": task.ref,
                "dedupe_key": task.dedupe_key,
                "payload": task.payload,
                "run_at": task.run_at,
                "token": 1 if task.leased_seconds else 0,
                "claims_unreturned": 1 if task.leased_seconds else 0,
                "lease_until": task.run_at + timedelta(seconds=task.leased_seconds) if task.leased_seconds else None,
            }
            # One order for everybody, so that two transactions with the same keys do not wait for each other.
            for task_id, task in sorted(wanted, key=lambda pair: (pair[1].kind, pair[1].dedupe_key or ""))
        ]
        written = await insert_rows(conn, self._tables.tasks, rows, tail=_ON_DUPLICATE + " RETURNING id")
        ours = {row.id for row in written}
        return [
            Claim(task_id, task.kind, task.ref, task.payload, 1, 0, task.run_at)
            for task_id, task in wanted
            if task.leased_seconds and task_id in ours
        ]

    async def park_lost(self, conn: AsyncConnection, kinds: Sequence[str]) -> list[tuple[UUID, str]]:
        """Set aside what was taken too often and never returned (G25). Returns (id, kind) of each."""
        found = await conn.execute(_PARK, {"kinds": list(kinds), "claims_max": CLAIMS_UNRETURNED_MAX})
        return [(row.id, row.kind) for row in found]

    async def claim(self, conn: AsyncConnection, kinds: Sequence[str], most: int) -> list[Claim]:
        """Take due tasks under a lease."""
        found = await conn.execute(
            _CLAIM,
            {
                "kinds": list(kinds),
                "most": most,
                "lease": self.lease_seconds,
                "claims_max": CLAIMS_UNRETURNED_MAX,
            },
        )
        claims = []
        for *row, claims_unreturned in found:
            claims.append(claim := Claim(*row))
            if claims_unreturned > 1:
                CLAIMS_LOST.labels(claim.kind).inc()
        return claims

    async def finish(self, conn: AsyncConnection, claims: Iterable[Claim]) -> set[UUID]:
        """The fence: the first statement of the transaction that does a task's work.

        Returns the ids that were still held. Whatever is missing has another owner: that part of the work must not be done.
        """
        held = list(claims)
        if not held:
            return set()
        found = await fetch(conn, _FINISH, {"ids": [c.id for c in held], "tokens": [c.token for c in held]})
        still_ours = {row.id for row in found}
        for claim in held:
            if claim.id not in still_ours:
                FENCES_LOST.labels(claim.kind).inc()
        return still_ours

    async def defer(self, conn: AsyncConnection, failed: Sequence[tuple[Claim, Again]]) -> set[UUID]:
        """Give tasks back after a clean failure, to be tried later."""
        if not failed:
            return set()
        found = await conn.execute(
            _DEFER,
            {
                "ids": [claim.id for claim, _ in failed],
                "tokens": [claim.token for claim, _ in failed],
                "delays": [
                    backoff_seconds(claim.failures) if again.after_seconds is None else again.after_seconds
                    for claim, again in failed
                ],
                "reasons": [again.reason[:ERROR_CHARACTERS_MAX] for _, again in failed],
            },
        )
        return set(found.scalars())

    async def purge_done(self, conn: AsyncConnection, *, older_than_seconds: float, most: int = 10_000) -> int:
        """Delete finished tasks and past ticks; what happened stands in timelines and audit rows. Answers how many tasks."""
        await conn.execute(_PURGE_TICKS, {"age": older_than_seconds})
        return (await conn.execute(_PURGE, {"age": older_than_seconds, "most": most})).rowcount

    async def count_parked(self, conn: AsyncConnection) -> dict[str, int]:
        """How many tasks wait for a person, by kind."""
        return {row.kind: row.number for row in await conn.execute(_PARKED)}

    async def oldest_due(self, conn: AsyncConnection) -> dict[str, float]:
        """For how many seconds the oldest task of each kind has been due; 0 where none is."""
        return {row.kind: float(row.seconds) for row in await conn.execute(_OLDEST)}

    async def tick(self, conn: AsyncConnection, name: str, tick: datetime) -> bool:
        """Claim one moment of a schedule for this node. False when another node has it."""
        return (await conn.execute(_TICK, {"name": name, "tick": tick})).first() is not None
