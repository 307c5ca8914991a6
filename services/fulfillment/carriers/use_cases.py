"""Taking in what carriers say: once each, in whatever order it comes, and asking for what they forgot (F1, G34).

Webhook, answer of a poll, and an event that had to wait go one way: written down where it is new, then everything of its
parcel that was not applied is, in the order of the carrier's sequence, in the same commit. A message that would give points
back is not enough for that: it waits, and the parcel's next question to the carrier, which comes at once, confirms or
contradicts it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers import store
from services.fulfillment.carriers.domain import CarrierEvent, EventKey, Followed, Heard, Taken, TrackingKey
from services.fulfillment.carriers.following import FOLLOWING, follow_parcels
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint
from shared.http_client import Refused
from shared.problems import NeighbourUnavailable
from shared.tasks import Again, Claim, NewTask, Tasks

__all__ = ["APPLYING", "FOLLOWING", "CarrierEvents", "Shipments", "Tracker"]

APPLYING = "apply_carrier_events"
KNOWN_AGAIN_SECONDS_MIN, KNOWN_AGAIN_SECONDS_MAX = 1.0, 3600.0
"""How soon a parcel is looked for again: after half of the time that its event has waited, within these bounds."""
WAITING_DAYS_MAX = 30
"""For how long a parcel is looked for. The event stays; should the parcel come later, the next event or poll finds it."""
LOOK_AGAIN_SECONDS = 300.0
"""After how long a carrier that could not be asked about a parcel is asked again."""
CONTRADICTED = Counter(
    "huangou_carrier_events_contradicted_total",
    "Messages by which a parcel came back or was lost, and the carrier, asked, did not say so.",
    ["carrier", "kind"],
)

log = structlog.get_logger()


class Shipments(Protocol):
    """The parcels that are with carriers."""

    async def apply(self, conn: AsyncConnection, now: datetime, events: Sequence[CarrierEvent]) -> Heard:
        """Let parcels hear of these events, in the caller's transaction; not of what is in doubt."""

    async def under_way(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> set[UUID]:
        """Which of these are with a carrier and not at their end."""

    async def tracked(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> Mapping[UUID, TrackingKey]:
        """Under which tracking number each of these is with a carrier, or was."""


class Tracker(Protocol):
    """Who can be asked how a parcel goes."""

    async def look(self, reference: str) -> Followed | None:
        """What the carrier says of a parcel, None when it does not know it. Raises NeighbourUnavailable or Refused."""


class CarrierEvents:
    """The use cases of carriers' events."""

    def __init__(self, database: Database, clock: Clock, tasks: Tasks, shipments: Shipments, tracker: Tracker) -> None:
        self._database = database
        self._clock = clock
        self._tasks = tasks
        self._shipments = shipments
        self._tracker = tracker

    async def now(self) -> datetime:
        """The database's time, by which signatures are judged (G35)."""
        async with self._database.transaction() as conn:
            return await self._clock.now(conn)

    async def take(self, event: CarrierEvent) -> Taken:
        """Take in one event. Sent again, it changes nothing."""

        async def work(conn: AsyncConnection) -> Taken:
            now = await self._clock.now(conn)
            fresh, done = await self._take(conn, now, [event])
            await failpoint("carrier_event.before_commit")
            return Taken.REPEATED if event.key not in fresh else Taken.APPLIED if event.key in done else Taken.KEPT

        return await self._database.run(work)

    async def apply_waiting(self, claims: Sequence[Claim]) -> None:
        """Look again whether the parcels of events that wait are known by now."""
        tracked = {claim.id: (claim.payload["carrier"], claim.payload["tracking_number"]) for claim in claims}

        async def work(conn: AsyncConnection) -> None:
            await store.lock_waiting(conn, tracked.values())  # before the tasks, as an event that comes in locks them
            held = await self._tasks.finish(conn, claims)
            now = await self._clock.now(conn)
            await self._apply(conn, now, [tracked[task] for task in tracked if task in held])

        await self._database.run(work)

    async def follow(self, claims: Sequence[Claim]) -> Mapping[UUID, Again]:
        """Ask the carrier about parcels under way, so that an event that was lost is made good within the hour."""
        parcels = {claim.id: claim.ref for claim in claims if claim.ref is not None}
        async with self._database.transaction() as conn:
            under_way = await self._shipments.under_way(conn, list(parcels.values()))
            known = await self._shipments.tracked(conn, list(parcels.values()))
            doubted = await store.doubted(conn, known.values())
            asked_at = await self._clock.now(conn)
        asked = [parcel for parcel in parcels.values() if parcel in under_way or known.get(parcel) in doubted]
        answers = dict(zip(asked, await asyncio.gather(*map(self._look, asked)), strict=True))
        silent = {task: answer for task, parcel in parcels.items() if isinstance(answer := answers.get(parcel), Again)}
        found = [answer for answer in answers.values() if isinstance(answer, Followed)]

        async def work(conn: AsyncConnection) -> None:
            """Events before tasks, as a message that comes in locks them; what is heard twice does no harm."""
            now = await self._clock.now(conn)
            answered = [known[one] for one, answer in answers.items() if not isinstance(answer, Again) and one in known]
            await self._hear(conn, now, found, answered, asked_at)
            held = await self._tasks.finish(conn, [claim for claim in claims if claim.id not in silent])
            mine = [parcels[task] for task in parcels if task in held]
            await follow_parcels(conn, now, sorted(await self._shipments.under_way(conn, mine)))

        await self._database.run(work)
        return silent

    async def _hear(
        self,
        conn: AsyncConnection,
        now: datetime,
        found: Sequence[Followed],
        answered: Sequence[TrackingKey],
        asked_at: datetime,
    ) -> None:
        """Take in what carriers said. What was in doubt of `answered` when they were asked, and they did not say, is not so."""
        events = [event for followed in found for event in followed.events]
        await store.insert_new(conn, now, events)
        keys = {*answered, *((event.carrier, event.tracking_number) for event in events)}
        await store.lock_waiting(conn, keys)
        await store.confirm(conn, now, events)
        for (carrier, event_id), kind in await store.contradict(conn, now, answered, asked_at):
            log.error("carrier_event_contradicted", carrier=carrier, event_id=event_id, kind=kind.value)
            CONTRADICTED.labels(carrier, kind.value).inc()
        await self._apply(conn, now, sorted(keys))

    async def _look(self, parcel: UUID) -> Followed | Again | None:
        try:
            found = await self._tracker.look(str(parcel))
        except (NeighbourUnavailable, Refused) as error:
            return Again(type(error).__name__, LOOK_AGAIN_SECONDS)
        if found is None:
            log.error("parcel_unknown_to_carrier", parcel=str(parcel))
        return found

    async def _take(
        self, conn: AsyncConnection, now: datetime, events: Sequence[CarrierEvent]
    ) -> tuple[set[EventKey], set[EventKey]]:
        """Which events are new, and which were applied (a few of them perhaps came before)."""
        fresh = await store.insert_new(conn, now, events)
        return fresh, await self._apply(conn, now, [(event.carrier, event.tracking_number) for event in events])

    async def _apply(self, conn: AsyncConnection, now: datetime, tracked: Sequence[TrackingKey]) -> set[EventKey]:
        """Apply all that waits for these parcels; for a parcel that is still unknown, a task will look again."""
        waiting, since = await store.lock_waiting(conn, tracked)
        if not waiting:
            return set()
        waiting.sort(key=lambda event: (event.carrier, event.tracking_number, event.sequence, event.id))
        heard = await self._shipments.apply(conn, now, waiting)
        await store.mark_applied(conn, now, heard.done)
        await follow_parcels(conn, now, sorted(set(heard.doubted.values())), after_seconds=0)
        settled = {*heard.done, *heard.doubted}
        unknown = {(event.carrier, event.tracking_number) for event in waiting if event.key not in settled}
        later = [_later(now, key, since[key]) for key in sorted(unknown) if now - since[key] < timedelta(days=WAITING_DAYS_MAX)]
        if later:
            await self._tasks.add(conn, later)
        return set(heard.done)


def _later(now: datetime, key: TrackingKey, since: datetime) -> NewTask:
    carrier, number = key
    seconds = min(max((now - since).total_seconds() / 2, KNOWN_AGAIN_SECONDS_MIN), KNOWN_AGAIN_SECONDS_MAX)
    return NewTask(
        kind=APPLYING,
        payload={"carrier": carrier, "tracking_number": number},
        run_at=now + timedelta(seconds=seconds),
        dedupe_key=f"{carrier}|{number}",
    )
