"""The tasks of a service as an operator sees them: how many, which are late, which are parked and why."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from shared.app import new_router
from shared.database import Database
from shared.identity import Principal, allow, services, staff

PARKED_SHOWN_MAX = 100
Operator = Annotated[Principal, allow(services("tasks:write"), staff("administrator", "supervisor"))]

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
    "SELECT id, kind, ref, failures, last_error, changed_at FROM tasks WHERE state = 'parked' ORDER BY changed_at LIMIT :most"
)


class TaskCount(BaseModel):
    """How many tasks of a kind are in a state; for those that are due, since when and for how many seconds."""

    kind: str
    state: str
    count: int
    oldest_due_at: datetime | None
    oldest_due_seconds: float


class ParkedTask(BaseModel):
    """A task that was set aside for a person; `ref` is what it is about."""

    id: UUID
    kind: str
    ref: UUID | None
    failures: int
    last_error: str | None
    parked_at: datetime


class TasksView(BaseModel):
    """All kinds and states, and the hundred that have been parked the longest."""

    counts: list[TaskCount]
    parked: list[ParkedTask]


def task_router(database: Database) -> APIRouter:
    """The route; every service has the same one."""
    router = new_router()

    @router.get("/internal/v1/tasks", response_model=TasksView)
    async def show_tasks(who: Operator) -> TasksView:  # noqa: ARG001 - the policy
        """The service's tasks now. Changes nothing."""
        async with database.transaction() as conn:
            counts = await conn.execute(_COUNTS)
            parked = await conn.execute(_PARKED, {"most": PARKED_SHOWN_MAX})
        return TasksView(
            counts=[
                TaskCount(
                    kind=row.kind,
                    state=row.state,
                    count=row.number,
                    oldest_due_at=row.oldest_due_at,
                    oldest_due_seconds=round(float(row.late_seconds or 0), 1),
                )
                for row in counts
            ],
            parked=[
                ParkedTask(
                    id=row.id,
                    kind=row.kind,
                    ref=row.ref,
                    failures=row.failures,
                    last_error=row.last_error,
                    parked_at=row.changed_at,
                )
                for row in parked
            ],
        )

    return router
