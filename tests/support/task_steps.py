"""Steps with tasks that more than one test takes."""

from datetime import UTC, datetime
from uuid import UUID

from shared.tasks import Again, Claim, NewTask, Tasks
from tests.support.mechanisms import Mechanisms, task_tables

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def tasks_with_lease(seconds: float = 30.0) -> Tasks:
    return Tasks(task_tables, lease_seconds=seconds)


def new_task(kind: str = "work", **values: object) -> NewTask:
    return NewTask(**{"kind": kind, "run_at": PAST, **values})


async def add(mechanisms: Mechanisms, *new: NewTask) -> list[Claim]:
    async with mechanisms.database.transaction() as conn:
        return await tasks_with_lease().add(conn, new)


async def claim(mechanisms: Mechanisms, *kinds: str, most: int = 32, lease: float = 30.0) -> list[Claim]:
    async with mechanisms.database.transaction() as conn:
        return await tasks_with_lease(lease).claim(conn, kinds or ("work",), most)


async def finish(mechanisms: Mechanisms, *claims: Claim) -> set[UUID]:
    async with mechanisms.database.transaction() as conn:
        return await tasks_with_lease().finish(conn, claims)


async def defer(mechanisms: Mechanisms, claim: Claim, again: Again) -> set[UUID]:
    async with mechanisms.database.transaction() as conn:
        return await tasks_with_lease().defer(conn, [(claim, again)])


async def park(mechanisms: Mechanisms, *kinds: str) -> list[tuple[UUID, str]]:
    async with mechanisms.database.transaction() as conn:
        return await tasks_with_lease().park_lost(conn, kinds or ("work",))


async def lose(mechanisms: Mechanisms, times: int) -> None:
    """Claims that never come back."""
    for _ in range(times):
        assert await claim(mechanisms, lease=0.0)
