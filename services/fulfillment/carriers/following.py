"""Following parcels from the commit of their dispatch on: whatever a carrier forgets to say is asked for (G34)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.metadata import task_tables
from shared.tasks import NewTask, Tasks

FOLLOWING = "follow_parcel"
FOLLOW_EVERY_SECONDS = 3600

_TASKS = Tasks(task_tables)


async def follow_parcels(
    conn: AsyncConnection, now: datetime, parcels: Sequence[UUID], *, after_seconds: int = FOLLOW_EVERY_SECONDS
) -> None:
    """Write down, with the dispatch of these parcels, that the carrier is asked about each after an hour; earlier counts."""
    due = now + timedelta(seconds=after_seconds)
    tasks = [NewTask(kind=FOLLOWING, ref=parcel, run_at=due, dedupe_key=str(parcel)) for parcel in parcels]
    if tasks:
        await _TASKS.add(conn, tasks)
