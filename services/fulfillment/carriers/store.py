"""SQL of carriers' events."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers.domain import CarrierEvent, EventKey, EventKind, TrackingKey
from services.fulfillment.carriers.tables import carrier_events
from shared.sets import insert_rows

# In one order for everybody, so that two who met the same events do not wait for each other.
_WAITING = text(
    """
    SELECT e.carrier, e.id, e.tracking_number, e.reference, e.sequence, e.kind, e.at, e.place, e.received_at
      FROM unnest(CAST(:carriers AS text[]), CAST(:numbers AS text[])) AS asked(carrier, tracking_number)
      JOIN carrier_events e USING (carrier, tracking_number)
     WHERE e.applied_at IS NULL
     ORDER BY e.carrier, e.id FOR UPDATE OF e
    """
)
_APPLIED = text(
    """
    UPDATE carrier_events e SET applied_at = :now
      FROM unnest(CAST(:carriers AS text[]), CAST(:ids AS text[])) AS done(carrier, id)
     WHERE e.carrier = done.carrier AND e.id = done.id AND e.applied_at IS NULL
    """
)


async def insert_new(conn: AsyncConnection, now: datetime, events: Sequence[CarrierEvent]) -> set[EventKey]:
    """Write down those that nobody has; the answer names them. One that is just being written elsewhere is waited for."""
    first = {event.key: event for event in reversed(events)}
    rows = [
        {
            "carrier": event.carrier,
            "id": event.id,
            "tracking_number": event.tracking_number,
            "reference": event.reference,
            "sequence": event.sequence,
            "kind": event.kind.value,
            "at": event.at,
            "place": event.place,
            "received_at": now,
        }
        for _, event in sorted(first.items())
    ]
    written = await insert_rows(conn, carrier_events, rows, tail="ON CONFLICT (carrier, id) DO NOTHING RETURNING carrier, id")
    return {(row.carrier, row.id) for row in written}


async def lock_waiting(
    conn: AsyncConnection, tracked: Collection[TrackingKey]
) -> tuple[list[CarrierEvent], dict[TrackingKey, datetime]]:
    """The events of these parcels that were not applied, locked; and since when the first of each parcel waits."""
    asked = sorted(set(tracked))
    values = {"carriers": [carrier for carrier, _ in asked], "numbers": [number for _, number in asked]}
    events, since = [], dict[TrackingKey, datetime]()
    for row in await conn.execute(_WAITING, values):
        key = (row.carrier, row.tracking_number)
        since[key] = min(row.received_at, since.get(key, row.received_at))
        events.append(
            CarrierEvent(
                row.carrier, row.id, row.tracking_number, row.reference, row.sequence, EventKind(row.kind), row.at, row.place
            )
        )
    return events, since


async def mark_applied(conn: AsyncConnection, now: datetime, done: Collection[EventKey]) -> None:
    """Write down that their parcels have heard of them."""
    keys = sorted(done)
    if keys:
        values = {"now": now, "carriers": [carrier for carrier, _ in keys], "ids": [event for _, event in keys]}
        await conn.execute(_APPLIED, values)
