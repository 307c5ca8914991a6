"""Parcels that are lost on their way to a branch or at it: a person says so, and the customer has the points back (F2)."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.parcels import store
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.domain import OURS, Change, ParcelNotOurs, ParcelState, Way
from shared.audit import Actor
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint
from shared.problems import NotFound


class Losses:
    """The use case of losses. What a courier lost is told by its carrier."""

    def __init__(self, database: Database, clock: Clock, changing: Changing) -> None:
        self._database = database
        self._clock = clock
        self._changing = changing

    async def report(self, parcel_id: UUID, branch: str | None, actor: Actor) -> None:
        """A parcel for a branch is lost. Said again, it changes nothing; `branch` is that of its staff, None for supervisors.

        Raises NotFound when there is none or it is another branch's, ParcelNotOurs unless it is on its way there or lies there.
        """

        async def work(conn: AsyncConnection) -> None:
            parcel = (await store.lock(conn, [parcel_id])).get(parcel_id)
            if parcel is None or (branch is not None and parcel.branch != branch):
                raise NotFound
            if parcel.way is Way.PICKUP and parcel.state is ParcelState.LOST:
                return
            if parcel.state not in OURS:
                raise ParcelNotOurs(state=parcel.state.value)
            now = await self._clock.now(conn)
            await self._changing.apply(conn, now, {parcel.id: parcel}, [Change(parcel.id, ParcelState.LOST, actor)])
            await failpoint("loss.before_commit")

        await self._database.run(work)
