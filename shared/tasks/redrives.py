"""Starting a parked task again: one person asks, another one agrees within a day, and then it runs (G41).

What is agreed to is the task as it was when it was asked for: its kind, subject, payload and last token. The database refuses
everything else, also to SQL that does not come from here. Time is the database's, as for everything about tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.audit import Actor, Audit, Entry
from shared.clock import DatabaseClock
from shared.database import Database
from shared.errors import DomainError
from shared.four_eyes import ApprovalPending, ApprovalStale, NothingToApprove, SelfApprovalForbidden
from shared.identity import Principal
from shared.ids import new_id
from shared.problems import InsufficientScope, NotFound
from shared.tasks.errors import TaskNotParked, TaskSuperseded

_LOCK_TASK = text(
    """
    SELECT id, kind, ref, state, task_fingerprint(kind, ref, payload, token) AS fingerprint,
           EXISTS (SELECT FROM tasks live WHERE live.state = 'ready' AND live.kind = tasks.kind
                      AND live.dedupe_key = tasks.dedupe_key) AS superseded
      FROM tasks WHERE id = :id FOR NO KEY UPDATE
    """
)
_COLUMNS = "id, task_id, reason, fingerprint, asked_by, asked_at, expires_at, state, decided_by, decided_at"
_PENDING = text(
    f"SELECT {_COLUMNS}, expires_at <= clock_timestamp() AS is_over FROM task_redrives "
    "WHERE task_id = :id AND state = 'pending' FOR UPDATE"
)
_ASK = text(
    "INSERT INTO task_redrives (id, task_id, reason, fingerprint, asked_by) "
    f"VALUES (:id, :task_id, :reason, :fingerprint, :asked_by) RETURNING {_COLUMNS}"
)
_DECIDE = text(
    "UPDATE task_redrives SET state = :state, decided_by = :by, decided_at = clock_timestamp() WHERE id = :id "
    f"RETURNING {_COLUMNS}"
)
_RUN_AGAIN = text(
    "UPDATE tasks SET state = 'ready', claims_unreturned = 0, run_at = clock_timestamp(), changed_at = clock_timestamp() "
    "WHERE id = :id"
)


@dataclass(frozen=True)
class Redrive:
    """Somebody's wish that a parked task run again, and what became of it. People by their stable ids, instants with offset."""

    id: UUID
    task_id: UUID
    reason: str
    fingerprint: bytes
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None


class Redrives:
    """The use cases of one service."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def ask(self, who: Principal, task_id: UUID, reason: str) -> Redrive:
        """Ask that a parked task run again. Raises NotFound, TaskNotParked, TaskSuperseded or ApprovalPending."""
        person = _person(who)

        async def work(conn: AsyncConnection) -> Redrive:
            task = await _lock(conn, task_id)
            _require_waiting(task)
            before = (await conn.execute(_PENDING, {"id": task_id})).one_or_none()
            entries: list[Entry] = []
            if before is not None:
                if not _is_stale(before, task):
                    raise ApprovalPending(expires_at=before.expires_at)
                entries.append(await _drop(conn, before, who))
            asked = {"id": new_id(), "task_id": task_id, "reason": reason, "fingerprint": task.fingerprint, "asked_by": person}
            redrive = Redrive(*(await conn.execute(_ASK, asked)).one())
            after = {"redrive": redrive.id, "kind": task.kind, "ref": task.ref, "fingerprint": task.fingerprint.hex()}
            entries.append(Entry("task.redrive_asked", f"task:{task_id}", Actor.of(who, reason=reason), after=after))
            await self._record(conn, entries)
            return redrive

        return await self._database.run(work)

    async def approve(self, who: Principal, task_id: UUID) -> Redrive:
        """Agree to what another person asked for: the task runs again, in the same commit.

        Raises NotFound, NothingToApprove, ApprovalStale, SelfApprovalForbidden, TaskNotParked or TaskSuperseded.
        """
        person = _person(who)

        async def work(conn: AsyncConnection) -> Redrive | DomainError:
            task = await _lock(conn, task_id)
            found = (await conn.execute(_PENDING, {"id": task_id})).one_or_none()
            if found is None:
                _require_waiting(task)
                raise NothingToApprove
            if _is_stale(found, task):
                await self._record(conn, [await _drop(conn, found, who)])
                return ApprovalStale()  # told once it is committed that nobody can agree to this any more
            if found.asked_by == person:
                raise SelfApprovalForbidden
            _require_waiting(task)
            decided = await conn.execute(_DECIDE, {"id": found.id, "state": "approved", "by": person})
            redrive = Redrive(*decided.one())
            await conn.execute(_RUN_AGAIN, {"id": task_id})
            after = {"state": "ready", "redrive": redrive.id, "asked_by": redrive.asked_by, "reason": redrive.reason}
            actor = Actor.of(who, reason=redrive.reason)
            await self._record(conn, [Entry("task.redriven", f"task:{task_id}", actor, {"state": "parked"}, after)])
            return redrive

        try:
            outcome = await self._database.run(work)
        except IntegrityError as error:  # a task for the same thing was written meanwhile
            raise TaskSuperseded from error
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    async def _record(self, conn: AsyncConnection, entries: Sequence[Entry]) -> None:
        await self._audit.record(conn, await DatabaseClock().now(conn), entries)


def _person(who: Principal) -> str:
    """The human behind the token; without one nobody can tell two sign-ins of one human from two people."""
    if not who.person:
        raise InsufficientScope
    return who.person


async def _lock(conn: AsyncConnection, task_id: UUID) -> Any:
    task = (await conn.execute(_LOCK_TASK, {"id": task_id})).one_or_none()
    if task is None:
        raise NotFound
    return task


def _require_waiting(task: Any) -> None:
    if task.state != "parked":
        raise TaskNotParked(state=task.state)
    if task.superseded:
        raise TaskSuperseded


def _is_stale(redrive: Any, task: Any) -> bool:
    return bool(redrive.is_over or task.state != "parked" or redrive.fingerprint != task.fingerprint)


async def _drop(conn: AsyncConnection, redrive: Any, who: Principal) -> Entry:
    """Nobody can agree to it any more: its day is over, or the task is another one by now."""
    state = "expired" if redrive.is_over else "void"
    await conn.execute(_DECIDE, {"id": redrive.id, "state": state, "by": None})
    after = {"redrive": redrive.id, "state": state}
    return Entry("task.redrive_dropped", f"task:{redrive.task_id}", Actor.of(who), {"state": "pending"}, after)
