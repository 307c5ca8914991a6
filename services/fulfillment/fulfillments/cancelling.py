"""Cancelling fulfillments: each parcel's own row decides between a cancellation and its dispatch (G10, G18, R6).

What comes before its creation leaves a tombstone in the header, and the late creation finds it. E-vouchers were issued with the
acceptance, and are not taken back here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.fulfillments import store
from services.fulfillment.fulfillments.domain import FulfillmentState, Stopped, stopped
from services.fulfillment.parcels import store as parcels
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.domain import Change, ParcelState
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint


@dataclass(frozen=True, slots=True)
class Cancellation:
    """That a redemption is cancelled, and on whose behalf."""

    id: UUID
    actor: Actor


class Cancelling:
    """The use case of cancellations."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, changing: Changing) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._changing = changing

    async def cancel(self, asked: Sequence[Cancellation]) -> list[Stopped]:
        """Stop whatever has not left, all of it in one commit. The same however often it is asked, and in whatever order.

        Answers in the order of what was asked: cancelled, partly (some lines are handed out all the same), or too_late.
        """
        actors: dict[UUID, Actor] = {}
        for one in asked:
            actors.setdefault(one.id, one.actor)
        async with self._database.transaction() as conn:
            found = await self._cancel(conn, actors)
            await failpoint("cancel.before_commit")
        await failpoint("cancel.after_commit")
        return [found[one.id] for one in asked]

    async def _cancel(self, conn: AsyncConnection, actors: Mapping[UUID, Actor]) -> dict[UUID, Stopped]:
        now = await self._clock.now(conn)
        tombstones = await store.leave_tombstones(conn, now, actors)
        await self._audit.record(conn, now, [_never_came(one, actors[one]) for one in sorted(tombstones)])
        known = set(actors) - tombstones
        if known:
            locked = await parcels.lock_of(conn, known)
            changes = [
                Change(parcel.id, ParcelState.CANCELLED, actors[parcel.fulfillment_id])
                for parcel in locked.values()
                if parcel.state is ParcelState.PREPARING
            ]
            await self._changing.apply(conn, await self._clock.now(conn), locked, changes)
        listed = await store.some(conn, actors)
        return {one.id: stopped(one) for one in listed}


def _never_came(fulfillment_id: UUID, actor: Actor) -> Entry:
    return Entry("fulfillment.cancelled", f"fulfillment:{fulfillment_id}", actor, after={"state": FulfillmentState.CANCELLED})
