"""Keeping the list of branches, and telling where a parcel can be collected and by when."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches import store
from services.fulfillment.branches.domain import Branch, Pace
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database


class Branches:
    """The use cases of branches."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, pace: Pace, timezone: ZoneInfo) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._pace = pace
        self._timezone = timezone

    async def write(self, listed: Sequence[Branch], actor: Actor) -> None:
        """Add and change branches, all in one commit. Those that are not listed stay as they are; the same again is nothing."""

        async def work(conn: AsyncConnection) -> None:
            known = await store.lock(conn, [branch.code for branch in listed])
            now = await self._clock.now(conn)
            different = [branch for branch in listed if known.get(branch.code) != branch]
            await store.write(conn, now, different)
            await self._audit.record(conn, now, [_written(known.get(one.code), one, actor) for one in different])

        await self._database.run(work)

    async def list_open(self) -> list[tuple[Branch, date]]:
        """The branches at which parcels can be collected, each with the day by which one asked for now can be ready."""
        async with self._database.transaction() as conn:
            found = [branch for branch in await store.read_all(conn) if branch.open]
            waiting = await store.waiting_at(conn, [branch.code for branch in found])
            today = bank_day(await self._clock.now(conn), self._timezone)
        return [
            (
                branch,
                self._pace.ready_by(today, waiting=waiting.get(branch.code, 0), capacity=branch.capacity_parcels),
            )
            for branch in found
        ]

    async def list_all(self) -> list[Branch]:
        """Every branch, closed ones too."""
        async with self._database.transaction() as conn:
            return await store.read_all(conn)


def _written(before: Branch | None, after: Branch, actor: Actor) -> Entry:
    action = "branch.added" if before is None else "branch.changed"
    return Entry(action, f"branch:{after.code}", actor, before=None if before is None else _told(before), after=_told(after))


def _told(branch: Branch) -> dict[str, Any]:
    return {
        "names": branch.names,
        "addresses": branch.addresses,
        "phone": branch.phone,
        "hours": branch.hours,
        "open": branch.open,
        "capacity_parcels": branch.capacity_parcels,
    }
