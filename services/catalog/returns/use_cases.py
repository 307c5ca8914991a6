"""Take return documents for many redemptions at once: one transaction of set-based statements, safe to repeat.

The order of locks is that of reservations: headers by id, then documents by id, budget lines, quotas, stock batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.reservations import store as reservations
from services.catalog.reservations.domain import Outcome, State
from services.catalog.reservations.places import give_places_back
from services.catalog.returns import store
from services.catalog.returns.domain import Decision, Return, ReturnOutcome, decide
from services.catalog.stock import store as stock
from services.catalog.stock.store import Movement
from shared.audit import Audit, Entry
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint


class Returns:
    """The use cases of return documents."""

    def __init__(self, database: Database, clock: Clock, audit: Audit) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit

    async def give_back(self, documents: Sequence[Return]) -> list[Outcome]:
        """Give back what documents say, each whole or not at all (K7, F2, R6).

        A document that was taken before gets the same answer; another one under its id is a mismatch and changes nothing.
        """
        async with self._database.transaction() as conn:
            now = await self._clock.now(conn)
            states = await reservations.lock_headers(conn, {document.reservation_id for document in documents})
            known = await store.known_returns(conn, {document.id for document in documents})
            first = {document.id: document for document in reversed(documents) if document.id not in known}
            fresh = [document for document in documents if document is first.get(document.id)]
            outcomes = await self._take(conn, now, fresh, states) if fresh else {}
            await failpoint("return.before_commit")
        await failpoint("return.after_commit")
        known |= {document.id: document.fingerprint for document in fresh}
        return [_told(document, known[document.id], outcomes.get(document.id)) for document in documents]

    async def _take(
        self, conn: AsyncConnection, now: datetime, documents: Sequence[Return], states: Mapping[UUID, State]
    ) -> dict[UUID, Outcome]:
        """Take documents that nobody has seen, while their reservations are locked."""
        decision = decide(documents, await store.read_standing(conn, states))
        written = await store.write_returns(conn, now, decision.granted)
        outcomes = decision.outcomes
        if len(written) < len(decision.granted):  # their ids were taken a moment ago, for other reservations
            outcomes |= {one.id: Outcome(one.id, ReturnOutcome.MISMATCH) for one in decision.granted if one.id not in written}
            granted = [document for document in decision.granted if document.id in written]
            decision = decide(granted, await store.read_standing(conn, states))
        await self._write(conn, now, decision)
        return outcomes

    async def _write(self, conn: AsyncConnection, now: datetime, decision: Decision) -> None:
        """Write what was granted: each counter once, with its net change."""
        if not decision.granted:
            return
        await store.write_lines(conn, decision.granted)
        await store.raise_counters(conn, decision.lines.values(), decision.draws.values())
        await stock.lock_budgets(conn, decision.budgets)
        await stock.change_budgets(conn, decision.budgets)
        await give_places_back(conn, decision.places)
        await stock.lock_batches(conn, decision.batches)
        await stock.change_batches(conn, decision.batches)
        await stock.record_movements(conn, now, _movements(decision))
        await self._audit.record(conn, now, [_entry(document) for document in decision.granted])


def _told(document: Return, fingerprint: bytes, outcome: Outcome | None) -> Outcome:
    """What stands under the id is this document or another one, whether it came in this set or was taken long ago."""
    if document.fingerprint != fingerprint:
        return Outcome(document.id, ReturnOutcome.MISMATCH)
    return outcome or Outcome(document.id, ReturnOutcome.RETURNED)


def _movements(decision: Decision) -> Iterable[Movement]:
    for moved in decision.moved:
        document = moved.document
        yield Movement(moved.batch_id, moved.kind, moved.quantity, document.reservation_id, moved.line, document.id)


def _entry(document: Return) -> Entry:
    units = sum(line.quantity for line in document.lines)
    after = {"return": str(document.id), "gives_back": document.gives_back.value, "units": units}
    return Entry("reservation.returned", f"reservation:{document.reservation_id}", document.actor, after=after)
