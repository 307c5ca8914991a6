"""The counter of a branch: parcels arrive, are handed over for their code, and go back when nobody comes (F2).

Arrival and handover are idempotent by nature: what has happened is answered as it is. Wrong codes are counted in the database,
so that a restart forgives nobody.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.parcels import store
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.domain import (
    ArrivalNotExpected,
    Change,
    Parcel,
    ParcelNotReady,
    ParcelState,
    PickupCodeWrong,
    TooManyAttempts,
)
from services.fulfillment.parcels.guessing import COUNT_MAX, WINDOW_MAX, patience
from services.fulfillment.parcels.pickup_codes import CANDIDATES, PickupCodeSafe, new_code, normalise
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database
from shared.failpoints import failpoint
from shared.problems import NotFound

CODE_TRIES_MAX = 3
ARRIVED = frozenset({ParcelState.READY, ParcelState.COLLECTED, ParcelState.RETURNED})


Deed = Callable[[], Awaitable[None]]
"""One thing that is done at a counter."""


async def serve(deeds: Sequence[Deed]) -> list[BaseException | None]:
    """Do them one after another, each in its own commit: however many tills ask at once, they take few connections."""
    return [await _outcome_of(deed) for deed in deeds]


async def _outcome_of(deed: Deed) -> BaseException | None:
    try:
        await deed()
    except Exception as error:  # noqa: BLE001 - handed to whoever asked
        return error
    return None


class Counter:
    """The use cases of a branch's staff. Another branch's parcel is like one that does not exist."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: Audit,
        changing: Changing,
        safe: PickupCodeSafe,
        *,
        pickup_days: int,
        timezone: ZoneInfo,
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._changing = changing
        self._safe = safe
        self._pickup_days = pickup_days
        self._timezone = timezone

    async def take_in(self, parcel_id: UUID, branch: str | None, actor: Actor) -> None:
        """A parcel arrived: it lies ready under a new code, and the customer is told.

        Raises NotFound, or ArrivalNotExpected for what is not on its way here.
        """

        async def work(conn: AsyncConnection) -> None:
            parcel = await self._lock(conn, parcel_id, branch)
            if parcel.state in ARRIVED:
                return
            if parcel.state is not ParcelState.IN_TRANSFER:
                raise ArrivalNotExpected(state=parcel.state.value)
            now = await self._clock.now(conn)
            code, hmac_of_it = await self._new_code(conn, parcel)
            until = bank_day(now, self._timezone) + timedelta(days=self._pickup_days)
            lies = {
                "code_hmac": hmac_of_it,
                "code_sealed": self._safe.seal(parcel.id, code),
                "ready_until": until,
            }
            facts = {"ready_until": until.isoformat()}
            change = Change(parcel.id, ParcelState.READY, actor, sets=lies, facts=facts)
            await self._changing.apply(conn, now, {parcel.id: parcel}, [change])
            await failpoint("arrival.before_commit")

        for attempt in range(1, CODE_TRIES_MAX + 1):
            try:
                await self._database.run(work)
            except IntegrityError:  # another parcel took the same code at the same moment
                if attempt == CODE_TRIES_MAX:
                    raise
            else:
                break
        await failpoint("arrival.after_commit")

    async def hand_over(self, parcel_id: UUID, branch: str | None, typed: str, actor: Actor) -> None:
        """The customer showed the code: the parcel is theirs. Shown again, it stays handed over.

        Raises NotFound, ParcelNotReady, PickupCodeWrong, or TooManyAttempts once `guessing` says that it is enough.
        """

        async def work(conn: AsyncConnection) -> PickupCodeWrong | None:
            return await self._hand_over(conn, parcel_id, branch, typed, actor)

        if (wrong := await self._database.run(work)) is not None:  # what was tried is kept, so this is no rollback
            raise wrong
        await failpoint("handover.after_commit")

    async def _hand_over(
        self, conn: AsyncConnection, parcel_id: UUID, branch: str | None, typed: str, actor: Actor
    ) -> PickupCodeWrong | None:
        parcel = await self._lock(conn, parcel_id, branch)
        if parcel.state not in (ParcelState.READY, ParcelState.COLLECTED) or parcel.code_hmac is None:
            raise ParcelNotReady(state=parcel.state.value)
        assert parcel.branch is not None
        await store.lock_counts(conn, actor.name, parcel.branch)
        now = await self._clock.now(conn)
        await self._require_patience(conn, now, parcel, actor)
        if not hmac.compare_digest(self._safe.look_up(parcel.branch, normalise(typed)), parcel.code_hmac):
            await store.note_attempt(conn, now, parcel.id, actor.name, parcel.branch)
            await self._audit.record(conn, now, [Entry("parcel.code_wrong", f"parcel:{parcel.id}", actor)])
            return PickupCodeWrong()
        if parcel.state is ParcelState.READY:
            change = Change(parcel.id, ParcelState.COLLECTED, actor)
            await self._changing.apply(conn, now, {parcel.id: parcel}, [change])
        await failpoint("handover.before_commit")
        return None

    async def _lock(self, conn: AsyncConnection, parcel_id: UUID, branch: str | None) -> Parcel:
        parcel = (await store.lock(conn, [parcel_id])).get(parcel_id)
        if parcel is None or branch is None or parcel.branch != branch:
            raise NotFound
        return parcel

    async def _new_code(self, conn: AsyncConnection, parcel: Parcel) -> tuple[str, bytes]:
        """A code that no parcel waits under at this branch, with its HMAC."""
        assert parcel.branch is not None
        while True:
            candidates = {self._safe.look_up(parcel.branch, code): code for code in (new_code() for _ in range(CANDIDATES))}
            taken = await store.codes_taken(conn, parcel.branch, list(candidates))
            for one, code in candidates.items():
                if one not in taken:
                    return code, one

    async def _require_patience(self, conn: AsyncConnection, now: datetime, parcel: Parcel, actor: Actor) -> None:
        """Raises TooManyAttempts while too many wrong codes stand against the parcel, the person or the branch."""
        assert parcel.branch is not None
        since = now - WINDOW_MAX
        tried = await store.attempts_since(conn, parcel.id, actor.name, parcel.branch, since, COUNT_MAX)
        wait = patience(now, tried)
        if wait is not None:
            raise TooManyAttempts(retry_after_seconds=int(wait.total_seconds()) + 1)
