"""Accepting fulfillments for many redemptions at once: one transaction of set-based statements, vouchers included.

Safe to repeat: a fulfillment that was accepted before is answered as it was then, and issues nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.fulfillments import store
from services.fulfillment.fulfillments.domain import (
    FulfillmentState,
    Header,
    Listed,
    Outcome,
    Wish,
    answer_to,
    portions,
)
from services.fulfillment.vouchers.issuing import Issuing, Order
from shared.audit import Audit, Entry
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint


class Fulfillments:
    """The use cases of fulfillments."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, issuing: Issuing) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._issuing = issuing

    async def accept(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """Accept each wish and issue its vouchers in the same commit, or answer as before (G10, F3).

        Another wish under a known id is a mismatch; one that was cancelled before it came stays cancelled. Neither changes
        anything.
        """
        first: dict[UUID, Wish] = {}
        for wish in wishes:
            first.setdefault(wish.id, wish)
        headers: dict[UUID, Header] = {}
        for portion in portions(list(first.values())):
            async with self._database.transaction() as conn:
                headers |= await self._accept(conn, portion)
                await failpoint("accept.before_commit")
        await failpoint("accept.after_commit")
        return [answer_to(wish, headers[wish.id]) for wish in wishes]

    async def _accept(self, conn: AsyncConnection, wishes: Sequence[Wish]) -> dict[UUID, Header]:
        now = await self._clock.now(conn)
        taken = await store.take_headers(conn, now, wishes)
        fresh = [wish for wish in wishes if wish.id in taken]
        await self._write(conn, now, fresh)
        headers = {wish.id: Header(wish.id, FulfillmentState.ISSUED, 1, wish.fingerprint) for wish in fresh}
        known = [wish.id for wish in wishes if wish.id not in taken]
        return headers | (await store.read_headers(conn, known) if known else {})

    async def _write(self, conn: AsyncConnection, now: datetime, fresh: Sequence[Wish]) -> None:
        if not fresh:
            return
        await store.insert_lines(conn, fresh)
        accepted = [
            Entry(
                "fulfillment.accepted",
                f"fulfillment:{wish.id}",
                wish.actor,
                after={"state": FulfillmentState.ISSUED, "campaign": wish.campaign, "lines": len(wish.lines)},
            )
            for wish in fresh
        ]
        await self._audit.record(conn, now, accepted)
        orders = [
            Order(wish.id, line.number, line.quantity, line.promise, wish.customer_id, wish.owner, wish.actor)
            for wish in fresh
            for line in wish.lines
        ]
        await self._issuing.issue(conn, now, orders)

    async def page(self, after: UUID | None, most: int) -> list[Listed]:
        """Fulfillments in the order of their ids, for whoever compares books."""
        async with self._database.transaction() as conn:
            return await store.page(conn, after, most)
