"""Parcels that nobody collects: a reminder before the last day, and back they go after it (F2)."""

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches import store as branches
from services.fulfillment.notices.domain import NoticeKind
from services.fulfillment.notices.requesting import NoticeWish, request_notices
from services.fulfillment.parcels import store
from services.fulfillment.parcels.changes import Changing, branch_facts
from services.fulfillment.parcels.domain import Change, ParcelState
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database
from shared.failpoints import failpoint
from shared.tasks import Claim, NewTask, Tasks

AT_ONCE_MAX = 500
PICKUP_EXPIRY = "expire_pickups"
PICKUP_REMINDERS = "remind_of_pickups"
EXPIRED = Actor(name="rule:pickup-expiry", channel="worker", reason="not collected in time")
REMINDED = Actor(name="rule:pickup-reminder", channel="worker", reason="the last day is near")


class Waiting:
    """The hourly tasks about parcels that lie at branches."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: Audit,
        tasks: Tasks,
        changing: Changing,
        *,
        reminder_days: int,
        timezone: ZoneInfo,
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._tasks = tasks
        self._changing = changing
        self._reminder_days = reminder_days
        self._timezone = timezone

    async def expire(self, claims: Sequence[Claim]) -> None:
        """Send back what lies there past its last day, at most 500 in one commit; more are left to a task of their own."""

        async def work(conn: AsyncConnection) -> None:
            if not await self._tasks.finish(conn, claims):
                return
            now = await self._clock.now(conn)
            overdue = await store.lock_overdue(conn, bank_day(now, self._timezone), AT_ONCE_MAX)
            changes = [Change(one, ParcelState.RETURNED, EXPIRED) for one in overdue]
            await self._changing.apply(conn, now, overdue, changes)
            if len(overdue) == AT_ONCE_MAX:
                await self._tasks.add(conn, [NewTask(kind=PICKUP_EXPIRY, run_at=now, dedupe_key=PICKUP_EXPIRY)])
            await failpoint("expire_pickups.before_commit")

        await self._database.run(work)

    async def remind(self, claims: Sequence[Claim]) -> None:
        """Remind whose last day is near, each once, at most 500 in one commit; more are left to a task of their own."""

        async def work(conn: AsyncConnection) -> None:
            if not await self._tasks.finish(conn, claims):
                return
            now = await self._clock.now(conn)
            today = bank_day(now, self._timezone)
            until = today + timedelta(days=self._reminder_days)
            found = await store.mark_reminded(conn, now, today, until, AT_ONCE_MAX)
            known = await branches.read(conn, {parcel.branch or "" for parcel in found}) if found else {}
            wishes = [
                NoticeWish(
                    parcel.id,
                    parcel.customer_id,
                    NoticeKind.PICKUP_REMINDER,
                    branch_facts(parcel, known.get(parcel.branch or "")),
                )
                for parcel in found
            ]
            await request_notices(conn, now, wishes)
            await self._audit.record(conn, now, [Entry("parcel.reminded", f"parcel:{parcel.id}", REMINDED) for parcel in found])
            if len(found) == AT_ONCE_MAX:
                await self._tasks.add(conn, [NewTask(kind=PICKUP_REMINDERS, run_at=now, dedupe_key=PICKUP_REMINDERS)])
            await failpoint("remind_of_pickups.before_commit")

        await self._database.run(work)
