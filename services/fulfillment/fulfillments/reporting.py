"""Telling redemption how far its fulfillments are: as sets, by version, until it has taken it (G34).

A report says how everything stands, not what changed: one that comes late or twice does no harm, since the older is ignored.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.fulfillments import store
from services.fulfillment.fulfillments.domain import ITEMS_MAX, Listed
from services.fulfillment.parcels.store import lock_headers
from shared.database import Database
from shared.failpoints import failpoint
from shared.http_client import Refused
from shared.problems import NeighbourUnavailable
from shared.tasks import Again, Claim, Tasks

UNKNOWN = "unknown"
NOT_TAKEN = {UNKNOWN: "redemption does not know it", "failed": "redemption could not take it in"}
"""Outcomes after which it is told again, and why."""
POISONED_AGAIN_SECONDS = 60.0
"""After how long what redemption refuses is told again. It is never given up, and each time it is an error in the log."""

log = structlog.get_logger()


class OutcomeTaker(Protocol):
    """Who wants to know how fulfillments end."""

    async def take_outcomes(self, told: Sequence[Listed]) -> Mapping[UUID, str]:
        """What became of each report: taken, older, unknown or failed. Raises NeighbourUnavailable or Refused."""


class Reporting:
    """The task `report`: one a fulfillment at a time, asked for by every change of its parcels."""

    def __init__(self, database: Database, tasks: Tasks, taker: OutcomeTaker) -> None:
        self._database = database
        self._tasks = tasks
        self._taker = taker

    async def report(self, claims: Sequence[Claim]) -> dict[UUID, Again]:
        """Tell how the fulfillments of these tasks stand, outside of any transaction. Answers which are to be told again."""
        async with self._database.transaction() as conn:
            listed = await store.some(conn, [claim.ref for claim in claims if claim.ref is not None])
        by_id = {one.id: one for one in listed}
        told = [(claim, by_id[claim.ref]) for claim in claims if claim.ref in by_id]
        failed: dict[UUID, Again] = {}
        for start in range(0, len(told), ITEMS_MAX):
            failed |= await self._tell(told[start : start + ITEMS_MAX])
        return failed

    async def _tell(self, told: Sequence[tuple[Claim, Listed]]) -> dict[UUID, Again]:
        """One call, and the commit of what it was for. A set that is refused is halved until what spoils it is alone."""
        try:
            outcomes = await self._taker.take_outcomes([listed for _, listed in told])
        except Refused as error:
            if len(told) > 1:
                half = len(told) // 2
                return await self._tell(told[:half]) | await self._tell(told[half:])
            return _poisoned(*told[0], error)
        except NeighbourUnavailable as error:
            return {claim.id: Again(str(error)) for claim, _ in told}
        await failpoint("report.after_call")
        left = {claim.id: outcome for claim, one in told if (outcome := outcomes.get(one.id, UNKNOWN)) in NOT_TAKEN}
        await self._note([(claim, listed) for claim, listed in told if claim.id not in left])
        for claim, listed in told:
            if claim.id in left:
                log.error(f"report_{left[claim.id]}", fulfillment=str(listed.id))
        return {one: Again(NOT_TAKEN[outcome], POISONED_AGAIN_SECONDS) for one, outcome in left.items()}

    async def _note(self, taken: Sequence[tuple[Claim, Listed]]) -> None:
        """Write down what redemption knows. Headers before tasks, as a change of a parcel locks them."""

        async def work(conn: AsyncConnection) -> None:
            await lock_headers(conn, [listed.id for _, listed in taken])
            await self._tasks.finish(conn, [claim for claim, _ in taken])
            await store.note_reported(conn, [listed for _, listed in taken])
            await failpoint("report.before_commit")

        await self._database.run(work)


def _poisoned(claim: Claim, listed: Listed, error: Refused) -> dict[UUID, Again]:
    """What redemption refuses alone: our contract with it is broken, somebody must look."""
    log.error("report_refused", fulfillment=str(listed.id), status=error.status, problem=error.problem)
    return {claim.id: Again(str(error), POISONED_AGAIN_SECONDS)}
