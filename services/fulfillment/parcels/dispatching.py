"""Sending parcels on their way: decided in the parcel's row, then the carrier is asked, then it is written down (G18, F1).

The first commit makes a cancellation too late. From there on it only goes forward: the carrier is asked under our reference,
the parcel's id, again and again until it answers, and the same reference is the same parcel there. One thing alone ends it: a
carrier that says three times that it does not take this parcel, and then that it knows nothing of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter
from psycopg import IntegrityError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers.domain import Booked, Booking, Content, Followed, Recipient
from services.fulfillment.parcels import reading, store
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.contacts import ContactSafe
from services.fulfillment.parcels.domain import REFUSED, Change, Parcel, ParcelState, Reward, Way
from shared.audit import Actor
from shared.clock import Clock
from shared.database import Database, is_data_error
from shared.failpoints import failpoint
from shared.halves import by_halves
from shared.http_client import Refused
from shared.problems import NeighbourUnavailable
from shared.secrets import Unreadable
from shared.tasks import Again, Claim, Tasks

RULE = Actor(name="rule:dispatch", channel="worker", reason="time of preparation over")
LEAVES = {Way.COURIER: ParcelState.DISPATCHING, Way.PICKUP: ParcelState.IN_TRANSFER}
REFUSED_AGAIN_SECONDS = 60.0
"""After how long a booking that the carrier refuses is tried again. It is never given up, and each time it is an error."""
NOT_TAKEN = 422
"""With this a carrier says that it does not take this very parcel; any other refusal may be about our key, or the moment."""
REFUSALS_MAX = 3
REFUSED_FOR_GOOD = Actor(name="rule:dispatch", channel="worker", reason="the courier does not take it")
FAILURES_TO_ALARM = 10
"""From so many failures in a row on, each is an error in the log."""
GIVEN_UP = Counter("huangou_parcels_refused_total", "Parcels that their courier does not take, and that were not sent.")

log = structlog.get_logger()


class Carrier(Protocol):
    """Who brings parcels to customers."""

    async def book(self, reference: str, parcel: Booking) -> Booked:
        """Have a parcel fetched. Raises NotSent or OutcomeUnknown (ask again: it is the same request) or Refused."""

    async def look(self, reference: str) -> Followed | None:
        """What the carrier says of a parcel, None when it was never booked. Raises NotSent, OutcomeUnknown or Refused."""


@dataclass(frozen=True, slots=True)
class _NotTaken:
    """The carrier says that it does not take this parcel."""

    reason: str


@dataclass(frozen=True)
class _Wanted:
    """A parcel for which the carrier is to be asked."""

    claim: Claim
    parcel: Parcel
    rewards: Sequence[Reward]


class Dispatching:
    """The task `dispatch`."""

    def __init__(
        self, database: Database, clock: Clock, tasks: Tasks, changing: Changing, safe: ContactSafe, carrier: Carrier
    ) -> None:
        self._database = database
        self._clock = clock
        self._tasks = tasks
        self._changing = changing
        self._safe = safe
        self._carrier = carrier

    async def dispatch(self, claims: Sequence[Claim]) -> dict[UUID, Again]:
        """Decide, ask the carrier outside of any transaction, write down what it said. Answers what is to be tried again."""
        wanted = await self._database.run(partial(self._decide, claims))
        await failpoint("dispatch.after_decision")
        if not wanted:
            return {}
        answers = await asyncio.gather(*(self._book(one) for one in wanted))
        await failpoint("dispatch.after_call")
        told: list[tuple[_Wanted, Booked | Again | _NotTaken | None]] = list(zip(wanted, answers, strict=True))
        told += await self._ask_about_refused([(one, answer) for one, answer in told if isinstance(answer, _NotTaken)])
        again = {one.claim.id: answer for one, answer in told if isinstance(answer, Again)}
        await self._give_up([one for one, answer in told if answer is None])
        return again | await self._note([(one, answer) for one, answer in told if isinstance(answer, Booked)])

    async def _decide(self, claims: Sequence[Claim], conn: AsyncConnection) -> list[_Wanted]:
        """Whatever is still being prepared leaves. For pickup that is all; what was cancelled or has left needs nothing.

        Safe without a look at the fence, since it only goes along arrows: a worker that lost its lease finds nothing to do.
        """
        ids = {claim.ref for claim in claims if claim.ref is not None}
        locked = await store.lock(conn, ids)
        now = await self._clock.now(conn)
        leaving = [
            Change(parcel.id, LEAVES[parcel.way], RULE) for parcel in locked.values() if parcel.state is ParcelState.PREPARING
        ]
        parcels = await self._changing.apply(conn, now, locked, leaving)
        asking = {one: parcel for one, parcel in parcels.items() if parcel.state is ParcelState.DISPATCHING}
        await self._tasks.finish(conn, [claim for claim in claims if claim.ref not in asking])
        rewards = await reading.rewards_in(conn, asking) if asking else {}
        return [
            _Wanted(claim, asking[claim.ref], rewards[claim.ref])
            for claim in claims
            if claim.ref is not None and claim.ref in asking
        ]

    async def _book(self, wanted: _Wanted) -> Booked | Again | _NotTaken:
        parcel = wanted.parcel
        try:
            return await self._carrier.book(str(parcel.id), self._booking(wanted))
        except NeighbourUnavailable as error:
            again = Again(str(error))
        except Refused as error:
            if error.status == NOT_TAKEN:
                return _NotTaken(str(error))
            again = Again(str(error), REFUSED_AGAIN_SECONDS)
        except Unreadable:
            again = Again("contact and address cannot be read", REFUSED_AGAIN_SECONDS)
        except Exception as error:  # noqa: BLE001 - one that cannot be booked holds up none of the others
            again = Again(type(error).__name__, REFUSED_AGAIN_SECONDS)  # other texts may hold values
        loud = again.after_seconds is not None or wanted.claim.failures >= FAILURES_TO_ALARM
        (log.error if loud else log.warning)("dispatch_failed", parcel=str(parcel.id), reason=again.reason)
        return again

    async def _ask_about_refused(
        self, refused: Sequence[tuple[_Wanted, _NotTaken]]
    ) -> list[tuple[_Wanted, Booked | Again | _NotTaken | None]]:
        """Count refusals. Of what was refused often enough the carrier is asked once more; None when it knows nothing of it.

        An earlier request may have been carried out and its answer lost: a refusal alone does not say that nothing was booked.
        """
        if not refused:
            return []
        counts = await self._database.run(partial(store.count_refusals, ids=[one.parcel.id for one, _ in refused]))
        for one, answer in refused:
            log.error("dispatch_refused", parcel=str(one.parcel.id), reason=answer.reason, times=counts.get(one.parcel.id, 0))
        enough = {one.parcel.id for one, _ in refused if counts.get(one.parcel.id, 0) >= REFUSALS_MAX}
        found = await asyncio.gather(*(self._look(one, answer, ask=one.parcel.id in enough) for one, answer in refused))
        return [(one, answer) for (one, _), answer in zip(refused, found, strict=True)]

    async def _look(self, wanted: _Wanted, refusal: _NotTaken, *, ask: bool) -> Booked | Again | None:
        if not ask:
            return Again(refusal.reason, REFUSED_AGAIN_SECONDS)
        try:
            found = await self._carrier.look(str(wanted.parcel.id))
        except (NeighbourUnavailable, Refused) as error:
            return Again(f"{refusal.reason}; asked about it: {error}", REFUSED_AGAIN_SECONDS)
        return None if found is None else found.booked

    async def _give_up(self, refused: Sequence[_Wanted]) -> None:
        """Nothing was booked and nothing will be: these parcels end here, and redemption gives everything back."""
        if not refused:
            return

        async def work(conn: AsyncConnection) -> int:
            locked = await store.lock(conn, [one.parcel.id for one in refused])
            held = await self._tasks.finish(conn, [one.claim for one in refused])
            ours = sorted(one.parcel.id for one in refused if one.claim.id in held)
            facts = {"reason": "courier_refused"}
            changes = [
                Change(one, ParcelState.CANCELLED, REFUSED_FOR_GOOD, kind=REFUSED, facts=facts)
                for one in ours
                if locked[one].state is ParcelState.DISPATCHING
            ]
            await self._changing.apply(conn, await self._clock.now(conn), locked, changes)
            await failpoint("dispatch.before_giving_up")

            return len(changes)

        GIVEN_UP.inc(await self._database.run(work))

    def _booking(self, wanted: _Wanted) -> Booking:
        parcel = wanted.parcel
        assert parcel.address_sealed is not None
        contact = self._safe.open_contact(parcel.id, parcel.contact_sealed)
        return Booking(
            recipient=Recipient(contact.name, contact.phone),
            address=self._safe.open_address(parcel.id, parcel.address_sealed),
            contents=[Content(reward.names[contact.language], reward.quantity) for reward in wanted.rewards],
        )

    async def _note(self, booked: Sequence[tuple[_Wanted, Booked]]) -> dict[UUID, Again]:
        """Write down tracking numbers. One that cannot be, such as a number that another parcel has, holds up no other."""
        halved = await by_halves(booked, self._note_together, is_data_error)
        if booked:
            await failpoint("dispatch.after_commit")
        again = {}
        for (one, answer), error in halved.spoiled:
            reason = f"the carrier's answer cannot be written down: {_what_failed(error)}"
            log.error("dispatch_failed", parcel=str(one.parcel.id), reason=reason, carrier=answer.carrier)
            again[one.claim.id] = Again(reason, REFUSED_AGAIN_SECONDS)
        return again

    async def _note_together(self, booked: Sequence[tuple[_Wanted, Booked]]) -> None:
        """In one commit; only those whose task is still in our hands."""

        async def work(conn: AsyncConnection) -> None:
            locked = await store.lock(conn, [one.parcel.id for one, _ in booked])  # before the tasks, as the decision does
            held = await self._tasks.finish(conn, [one.claim for one, _ in booked])
            answers = {one.parcel.id: answer for one, answer in booked if one.claim.id in held}
            now = await self._clock.now(conn)
            changes = [
                _dispatched(locked[parcel_id], answer)
                for parcel_id, answer in sorted(answers.items())
                if locked[parcel_id].state is ParcelState.DISPATCHING
            ]
            await self._changing.apply(conn, now, locked, changes)
            await failpoint("dispatch.before_commit")

        await self._database.run(work)


def _dispatched(parcel: Parcel, booked: Booked) -> Change:
    told = {"carrier": booked.carrier, "tracking_number": booked.tracking_number}
    return Change(parcel.id, ParcelState.DISPATCHED, RULE, sets=told, facts=told)


def _what_failed(error: Exception) -> str:
    """The constraint that a row breaks, or the kind of error: no value of it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (cause.diag.constraint_name if isinstance(cause, IntegrityError) else None) or type(cause).__name__
