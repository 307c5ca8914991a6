"""Parcels that are with a carrier, as they hear of what the carrier says: each event told once, the newest decides (G34)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers.domain import CarrierEvent, EventKey, EventKind, Heard, TrackingKey
from services.fulfillment.parcels import store
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.domain import ENDED, Change, Parcel, ParcelState
from shared.audit import Actor

DECIDES = {
    EventKind.DELIVERED: ParcelState.DELIVERED,
    EventKind.DELIVERY_FAILED: ParcelState.FAILED,
    EventKind.RETURNED: ParcelState.RETURNED,
    EventKind.LOST: ParcelState.LOST,
}
"""Where an event brings a parcel; the others only tell how it goes."""

log = structlog.get_logger()


class Shipments:
    """The port through which carriers' events reach parcels."""

    def __init__(self, changing: Changing) -> None:
        self._changing = changing

    async def apply(self, conn: AsyncConnection, now: datetime, events: Sequence[CarrierEvent]) -> Heard:
        """Let parcels hear of these events, in the caller's transaction.

        Every event goes to the timeline once, by its sequence. One that decides changes the parcel's state only when its
        sequence is above that of all that decided before it and the parcel is not at its end; so the order of arrival does
        not matter. One that is in doubt waits, and the answer names its parcel.
        """
        locked = await store.lock_tracked(conn, {(event.carrier, event.tracking_number) for event in events})
        tracked = {(parcel.carrier, parcel.tracking_number): parcel for parcel in locked.values()}
        told = await store.sequences_of(conn, locked.keys()) if locked else set()
        changes: list[Change] = []
        doubted: dict[EventKey, UUID] = {}
        for event in sorted(events, key=lambda event: (event.carrier, event.tracking_number, event.sequence)):
            parcel = tracked.get((event.carrier, event.tracking_number))
            if parcel is None or (parcel.id, event.sequence) in told:
                continue
            if event.in_doubt:
                doubted[event.key] = parcel.id
                continue
            told.add((parcel.id, event.sequence))
            changes.append(_change(event, parcel, _standing_of(parcel, changes), _decided(parcel, changes)))
        await self._changing.apply(conn, now, locked, changes)
        known = {event.key for event in events if (event.carrier, event.tracking_number) in tracked}
        return Heard(known - doubted.keys(), doubted)

    async def under_way(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> set[UUID]:
        """Which of these are with a carrier and not at their end."""
        return await store.with_carrier(conn, parcels)

    async def tracked(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> dict[UUID, TrackingKey]:
        """Under which tracking number each of these is with a carrier, or was."""
        found = await store.some(conn, parcels)
        return {
            one: (parcel.carrier, parcel.tracking_number)
            for one, parcel in found.items()
            if parcel.carrier is not None and parcel.tracking_number is not None
        }


def _standing_of(parcel: Parcel, changes: Sequence[Change]) -> ParcelState:
    """Where a parcel is after the changes of this set."""
    last = next((change for change in reversed(changes) if change.parcel_id == parcel.id), None)
    return parcel.state if last is None else last.to


def _decided(parcel: Parcel, changes: Sequence[Change]) -> int:
    """The sequence of the event that decided last, after the changes of this set."""
    mine = [change.sequence or 0 for change in changes if change.parcel_id == parcel.id and change.decides]
    return mine[-1] if mine else parcel.carrier_sequence


def _change(event: CarrierEvent, parcel: Parcel, state: ParcelState, decided: int) -> Change:
    """One step of a parcel that stands in `state` by its carrier's event of the sequence `decided`."""
    newer = event.kind in DECIDES and event.sequence > decided
    decides = newer and state not in ENDED
    if newer and not decides and DECIDES[event.kind] is not state:
        # The end stays: points may have gone back by it. The books name the parcel until somebody has looked.
        log.error("carrier_contradicts", parcel=str(parcel.id), state=state.value, kind=event.kind.value)
    return Change(
        parcel_id=parcel.id,
        to=DECIDES[event.kind] if decides else state,
        actor=Actor(f"carrier:{event.carrier}", "carrier", f"event {event.id}"),
        at=event.at,
        place=event.place or None,
        kind=event.kind.value,
        sequence=event.sequence,
        decides=decides,
    )
