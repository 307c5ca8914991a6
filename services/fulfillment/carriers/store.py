"""SQL of carriers' events."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers.domain import GIVES_BACK, CarrierEvent, EventKey, EventKind, TrackingKey
from services.fulfillment.carriers.tables import carrier_events
from shared.sets import insert_rows

# In one order for everybody, so that two who met the same events do not wait for each other.
_WAITING = text(
    """
    SELECT e.carrier, e.id, e.tracking_number, e.reference, e.sequence, e.kind, e.at, e.place, e.received_at,
           e.confirmed_at IS NOT NULL AS confirmed
      FROM unnest(CAST(:carriers AS text[]), CAST(:numbers AS text[])) AS asked(carrier, tracking_number)
      JOIN carrier_events e USING (carrier, tracking_number)
     WHERE e.applied_at IS NULL AND (e.contradicted_at IS NULL OR e.confirmed_at IS NOT NULL)
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
_DOUBTED = text(
    """
    SELECT DISTINCT e.carrier, e.tracking_number
      FROM unnest(CAST(:carriers AS text[]), CAST(:numbers AS text[])) AS asked(carrier, tracking_number)
      JOIN carrier_events e USING (carrier, tracking_number)
     WHERE e.applied_at IS NULL AND e.confirmed_at IS NULL AND e.contradicted_at IS NULL
       AND e.kind = ANY(CAST(:doubtful AS text[]))
    """
)
_CONFIRMED = text(
    """
    UPDATE carrier_events e SET confirmed_at = :now
      FROM unnest(CAST(:carriers AS text[]), CAST(:ids AS text[]), CAST(:numbers AS text[]), CAST(:sequences AS int[]),
                  CAST(:kinds AS text[])) AS told(carrier, id, tracking_number, sequence, kind)
     WHERE (e.carrier, e.id, e.tracking_number, e.sequence, e.kind)
           = (told.carrier, told.id, told.tracking_number, told.sequence, told.kind)
       AND e.confirmed_at IS NULL
    """
)
_CONTRADICTED = text(
    """
    UPDATE carrier_events e SET contradicted_at = :now
      FROM unnest(CAST(:carriers AS text[]), CAST(:numbers AS text[])) AS asked(carrier, tracking_number)
     WHERE e.carrier = asked.carrier AND e.tracking_number = asked.tracking_number
       AND e.kind = ANY(CAST(:doubtful AS text[])) AND e.received_at <= :asked_at
       AND e.applied_at IS NULL AND e.confirmed_at IS NULL AND e.contradicted_at IS NULL
    RETURNING e.carrier, e.id, e.kind
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
            "confirmed_at": now if event.confirmed else None,
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
                row.carrier,
                row.id,
                row.tracking_number,
                row.reference,
                row.sequence,
                EventKind(row.kind),
                row.at,
                row.place,
                row.confirmed,
            )
        )
    return events, since


async def confirm(conn: AsyncConnection, now: datetime, told: Sequence[CarrierEvent]) -> None:
    """Write down which ends the carrier told of when it was asked; one under a known id that says something else is none."""
    ordered = sorted({event.key: event for event in told if event.confirmed and event.kind in GIVES_BACK}.items())
    if ordered:
        values = {
            "now": now,
            "carriers": [event.carrier for _, event in ordered],
            "ids": [event.id for _, event in ordered],
            "numbers": [event.tracking_number for _, event in ordered],
            "sequences": [event.sequence for _, event in ordered],
            "kinds": [event.kind.value for _, event in ordered],
        }
        await conn.execute(_CONFIRMED, values)


async def doubted(conn: AsyncConnection, tracked: Collection[TrackingKey]) -> set[TrackingKey]:
    """Of which of these parcels something is in doubt, and the carrier has not been asked."""
    return {(row.carrier, row.tracking_number) for row in await conn.execute(_DOUBTED, _asked(tracked))}


async def contradict(
    conn: AsyncConnection, now: datetime, tracked: Collection[TrackingKey], asked_at: datetime
) -> list[tuple[EventKey, EventKind]]:
    """Of what is still in doubt of these parcels, and was when the carrier was asked: it did not say so. Answers of which."""
    values = {"now": now, "asked_at": asked_at, **_asked(tracked)}
    return [((row.carrier, row.id), EventKind(row.kind)) for row in await conn.execute(_CONTRADICTED, values)]


def _asked(tracked: Collection[TrackingKey]) -> dict[str, list[str]]:
    asked = sorted(set(tracked))
    return {
        "carriers": [carrier for carrier, _ in asked],
        "numbers": [number for _, number in asked],
        "doubtful": [kind.value for kind in GIVES_BACK],
    }


async def mark_applied(conn: AsyncConnection, now: datetime, done: Collection[EventKey]) -> None:
    """Write down that their parcels have heard of them."""
    keys = sorted(done)
    if keys:
        values = {"now": now, "carriers": [carrier for carrier, _ in keys], "ids": [event for _, event in keys]}
        await conn.execute(_APPLIED, values)
