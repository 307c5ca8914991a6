"""Accepting fulfillments for many redemptions at once: one transaction of set-based statements, vouchers and parcels included.

Safe to repeat: a fulfillment that was accepted before is answered as it stands, and hands out nothing more.
"""

from collections import defaultdict
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
    first_state,
    portions,
)
from services.fulfillment.parcels import store as parcels
from services.fulfillment.parcels.domain import Parcel
from services.fulfillment.parcels.packing import Order as ParcelOrder
from services.fulfillment.parcels.packing import Packing
from services.fulfillment.vouchers.issuing import Issuing, Order
from shared.audit import Audit, Entry
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint

_Stands = tuple[Header, Sequence[Parcel] | None]
"""A header with its parcels; None instead of them in the commit that accepts it."""


class Fulfillments:
    """The use cases of fulfillments."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, issuing: Issuing, packing: Packing) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._issuing = issuing
        self._packing = packing

    async def accept(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """Accept each wish, issue its vouchers and pack its parcel in the same commit, or answer how it stands (G10, F3).

        Another wish under a known id is a mismatch; one that was cancelled before it came stays cancelled. Neither changes
        anything.
        """
        first: dict[UUID, Wish] = {}
        for wish in wishes:
            first.setdefault(wish.id, wish)
        stands: dict[UUID, _Stands] = {}
        for portion in portions(list(first.values())):
            async with self._database.transaction() as conn:
                stands |= await self._accept(conn, portion)
                await failpoint("accept.before_commit")
        await failpoint("accept.after_commit")
        return [answer_to(wish, *stands[wish.id]) for wish in wishes]

    async def _accept(self, conn: AsyncConnection, wishes: Sequence[Wish]) -> dict[UUID, _Stands]:
        now = await self._clock.now(conn)
        taken = await store.take_headers(conn, now, wishes)
        fresh = [wish for wish in wishes if wish.id in taken]
        await self._write(conn, now, fresh)
        accepted = {wish.id: (Header(wish.id, first_state(wish), 1, wish.fingerprint, now), None) for wish in fresh}
        return {**accepted, **await _standing(conn, [wish for wish in wishes if wish.id not in taken])}

    async def _write(self, conn: AsyncConnection, now: datetime, fresh: Sequence[Wish]) -> None:
        if not fresh:
            return
        await store.insert_lines(conn, fresh)
        accepted = [
            Entry(
                "fulfillment.accepted",
                f"fulfillment:{wish.id}",
                wish.actor,
                after={
                    "state": first_state(wish),
                    "campaign": wish.campaign,
                    "lines": len(wish.lines) + len(wish.goods),
                },
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
        await self._packing.pack(conn, now, [_parcel_of(wish) for wish in fresh if wish.delivery is not None])

    async def page(self, after: UUID | None, most: int) -> list[Listed]:
        """Fulfillments in the order of their ids, for whoever compares books."""
        async with self._database.transaction() as conn:
            return await store.page(conn, after, most)

    async def some(self, ids: Sequence[UUID]) -> list[Listed]:
        """These fulfillments as they stand, for whoever waits for their end; those that are not there are left out."""
        async with self._database.transaction() as conn:
            return await store.some(conn, ids)


async def _standing(conn: AsyncConnection, known: Sequence[Wish]) -> dict[UUID, _Stands]:
    """How fulfillments stand that were there already. Parcels are looked for where there can be any."""
    if not known:
        return {}
    headers = await store.read_headers(conn, [wish.id for wish in known])
    packed: dict[UUID, list[Parcel]] = defaultdict(list)
    with_parcels = [one.id for one in headers.values() if one.fingerprint and one.state is not FulfillmentState.ISSUED]
    if with_parcels:
        for parcel in await parcels.of_fulfillments(conn, with_parcels):
            packed[parcel.fulfillment_id].append(parcel)
    return {one.id: (one, packed[one.id]) for one in headers.values()}


def _parcel_of(wish: Wish) -> ParcelOrder:
    assert wish.delivery is not None
    return ParcelOrder(
        fulfillment_id=wish.id,
        customer_id=wish.customer_id,
        owner=wish.owner,
        way=wish.delivery.way,
        branch=wish.delivery.branch,
        contact=wish.delivery.contact,
        address=wish.delivery.address,
        rewards=wish.goods,
        actor=wish.actor,
    )
