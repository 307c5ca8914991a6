"""The tasks of a service as operators see them: how many, which are late, which are parked and why, and running one again."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import text

from shared.app import new_router
from shared.audit import Audit
from shared.database import Database
from shared.identity import Principal, allow, services, staff
from shared.tasks.redrives import Redrive, Redrives
from shared.tasks.tables import REASON_CHARACTERS_MAX

PARKED_SHOWN_MAX = 100
Operator = Annotated[Principal, allow(services("tasks:write"), staff("administrator", "supervisor"))]
TwoOfThem = Annotated[Principal, allow(staff("administrator", "supervisor"))]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_CHARACTERS_MAX)]

# One instant for all rows: `statement_timestamp()` says what is due, and how late it is.
_COUNTS = text(
    """
    SELECT kind, state, count(*) AS number,
           min(run_at) FILTER (WHERE state = 'ready' AND run_at <= statement_timestamp()) AS oldest_due_at,
           greatest(extract(epoch FROM statement_timestamp() - min(run_at) FILTER (WHERE state = 'ready')), 0) AS late_seconds
      FROM tasks GROUP BY kind, state ORDER BY kind, state
    """
)
_PARKED = text(
    """
    SELECT t.id, t.kind, t.ref, t.failures, t.last_error, t.changed_at,
           r.id AS redrive_id, r.reason, r.asked_by, r.asked_at, r.expires_at
      FROM (SELECT * FROM tasks WHERE state = 'parked' ORDER BY changed_at LIMIT :most) t
      LEFT JOIN task_redrives r ON r.task_id = t.id AND r.state = 'pending' AND r.expires_at > statement_timestamp()
     ORDER BY t.changed_at
    """
)


class TaskCount(BaseModel):
    """How many tasks of a kind are in a state; for those that are due, since when and for how many seconds."""

    kind: str
    state: str
    count: int
    oldest_due_at: datetime | None
    oldest_due_seconds: float


class PendingRedrive(BaseModel):
    """Somebody wants a parked task to run again, and waits for a second person."""

    id: UUID
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime


class ParkedTask(BaseModel):
    """A task that was set aside for a person; `ref` is what it is about."""

    id: UUID
    kind: str
    ref: UUID | None
    failures: int
    last_error: str | None
    parked_at: datetime
    redrive: PendingRedrive | None


class RedriveRequest(BaseModel):
    """Why a parked task should run again: what was wrong, and how it was mended."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class RedriveView(BaseModel):
    """A wish that a parked task run again, and what became of it."""

    id: UUID
    task_id: UUID
    state: Literal["pending", "approved"]
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class TasksView(BaseModel):
    """All kinds and states, and the hundred that have been parked the longest."""

    counts: list[TaskCount]
    parked: list[ParkedTask]


def task_router(database: Database, audit: Audit) -> APIRouter:
    """The routes; every service has the same ones."""
    router = new_router()
    redrives = Redrives(database, audit)

    @router.get("/internal/v1/tasks", response_model=TasksView)
    async def show_tasks(who: Operator) -> TasksView:  # noqa: ARG001 - the policy
        """The service's tasks now. Changes nothing."""
        async with database.transaction() as conn:
            counts = await conn.execute(_COUNTS)
            parked = await conn.execute(_PARKED, {"most": PARKED_SHOWN_MAX})
        return TasksView(counts=[_count(row) for row in counts], parked=[_parked(row) for row in parked])

    @router.post("/internal/v1/tasks/{task_id}/redrive", response_model=RedriveView, status_code=201)
    async def ask_for_redrive(task_id: UUID, asked: RedriveRequest, who: TwoOfThem) -> RedriveView:
        """Ask that a parked task run again: it does once a second person agrees, within 24 hours, to it as it is now (G41)."""
        return _shown(await redrives.ask(who, task_id, asked.reason))

    @router.post("/internal/v1/tasks/{task_id}/redrive/approval", response_model=RedriveView)
    async def approve_redrive(task_id: UUID, who: TwoOfThem) -> RedriveView:
        """Agree to what another person asked for; the task runs again from this moment (G41)."""
        return _shown(await redrives.approve(who, task_id))

    return router


def _count(row: Any) -> TaskCount:
    return TaskCount(
        kind=row.kind,
        state=row.state,
        count=row.number,
        oldest_due_at=row.oldest_due_at,
        oldest_due_seconds=round(float(row.late_seconds or 0), 1),
    )


def _parked(row: Any) -> ParkedTask:
    pending = None
    if row.redrive_id is not None:
        pending = PendingRedrive(
            id=row.redrive_id, reason=row.reason, asked_by=row.asked_by, asked_at=row.asked_at, expires_at=row.expires_at
        )
    return ParkedTask(
        id=row.id,
        kind=row.kind,
        ref=row.ref,
        failures=row.failures,
        last_error=row.last_error,
        parked_at=row.changed_at,
        redrive=pending,
    )


def _shown(redrive: Redrive) -> RedriveView:
    return RedriveView.model_validate(vars(redrive), extra="ignore")
