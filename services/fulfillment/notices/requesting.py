"""Asking for notices, in the commit of the change that they tell: neither is there without the other (F7)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.metadata import task_tables
from services.fulfillment.notices.domain import FACTS, NoticeState, NoticeWish, may_be_told
from services.fulfillment.notices.tables import notices
from shared.sets import insert_rows
from shared.tasks import NewTask, Tasks

NOTIFYING = "notify"

__all__ = ["NOTIFYING", "NoticeWish", "request_notices"]

_TASKS = Tasks(task_tables)


async def request_notices(conn: AsyncConnection, now: datetime, wanted: Sequence[NoticeWish]) -> None:
    """Write down notices and the tasks that send them. One that was asked for before is left as it is."""
    rows = [
        {
            "id": wish.id,
            "parcel_id": wish.parcel_id,
            "customer_id": wish.customer_id,
            "kind": wish.kind.value,
            "facts": {name: fact for name, fact in wish.facts.items() if _said(name, fact)},
            "state": NoticeState.PENDING.value,
            "attempts": 0,
            "requested_at": now,
            "changed_at": now,
        }
        for wish in {wish.id: wish for wish in sorted(wanted, key=lambda wish: wish.id)}.values()
    ]
    fresh = await insert_rows(conn, notices, rows, tail="ON CONFLICT (id) DO NOTHING RETURNING id")
    tasks = [NewTask(kind=NOTIFYING, ref=row.id, run_at=now, dedupe_key=str(row.id)) for row in fresh]
    if tasks:
        await _TASKS.add(conn, tasks)


def _said(name: str, fact: Any) -> bool:
    return name in FACTS and fact is not None and (name != "place" or may_be_told(fact))
