"""Packing parcels inside the commit that accepts them: rows, lines, timelines, audit rows and the tasks that send them off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches import store as branches
from services.fulfillment.branches.domain import Pace
from services.fulfillment.carriers.domain import Address
from services.fulfillment.notices.domain import Contact
from services.fulfillment.parcels import store
from services.fulfillment.parcels.contacts import ContactSafe
from services.fulfillment.parcels.domain import ParcelState, Reward, Way
from services.fulfillment.vouchers.domain import Owner
from shared.audit import Actor, Audit, Entry
from shared.clock import bank_day
from shared.ids import new_id
from shared.tasks import NewTask, Tasks

DISPATCH = "dispatch"
"""The task that sends a parcel on its way once its time of preparation is over; `dispatching` does it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One parcel to be packed for one fulfillment. `branch` is for pickup, `address` for the courier."""

    fulfillment_id: UUID
    customer_id: UUID
    owner: Owner
    way: Way
    branch: str | None
    contact: Contact
    address: Address | None
    rewards: Sequence[Reward]
    actor: Actor


@dataclass(frozen=True, slots=True)
class Timing:
    """When parcels go and come: the time in which they can still be cancelled, the pace of branches, and the bank's zone."""

    preparing: timedelta
    pace: Pace
    timezone: ZoneInfo


class Packing:
    """Makes parcels."""

    def __init__(self, audit: Audit, tasks: Tasks, safe: ContactSafe, timing: Timing) -> None:
        self._audit = audit
        self._tasks = tasks
        self._safe = safe
        self._timing = timing

    async def pack(self, conn: AsyncConnection, now: datetime, orders: Sequence[Order]) -> None:
        """Write everything in the caller's transaction; nothing at all where there is no order."""
        if not orders:
            return
        days = await self._expected(conn, now, orders)
        rows = [self._parcel(order, now, days.get(order.fulfillment_id)) for order in orders]
        packed = list(zip(orders, rows, strict=True))
        await store.insert_parcels(conn, rows, [line for order, row in packed for line in _lines(order, row["id"])])
        await store.insert_events(conn, [_first_event(order, row, now) for order, row in packed])
        await self._audit.record(conn, now, [_packed(order, row) for order, row in packed])
        due = now + self._timing.preparing
        tasks = [NewTask(kind=DISPATCH, ref=row["id"], run_at=due, dedupe_key=str(row["id"])) for row in rows]
        await self._tasks.add(conn, tasks)

    async def _expected(self, conn: AsyncConnection, now: datetime, orders: Sequence[Order]) -> Mapping[UUID, date]:
        """By which day each parcel for pickup should be ready. A branch that is not known, or is full, refuses nothing."""
        codes = {order.branch for order in orders if order.branch is not None}
        if not codes:
            return {}
        known, waiting = await branches.read(conn, codes), await branches.waiting_at(conn, codes)
        today = bank_day(now, self._timing.timezone)
        found = {}
        for order in orders:
            if order.branch is None:
                continue
            branch, ahead = known.get(order.branch), waiting.get(order.branch, 0)
            capacity = 0 if branch is None else branch.capacity_parcels
            found[order.fulfillment_id] = self._timing.pace.ready_by(today, waiting=ahead, capacity=capacity)
            waiting[order.branch] = ahead + 1
        return found

    def _parcel(self, order: Order, now: datetime, expected_on: date | None) -> dict[str, Any]:
        parcel_id = new_id()
        return {
            "id": parcel_id,
            "fulfillment_id": order.fulfillment_id,
            "way": order.way.value,
            "state": ParcelState.PREPARING.value,
            "version": 1,
            "customer_id": order.customer_id,
            "owner_issuer": order.owner.issuer,
            "owner_subject": order.owner.subject,
            "contact_sealed": self._safe.seal_contact(parcel_id, order.contact),
            "address_sealed": None if order.address is None else self._safe.seal_address(parcel_id, order.address),
            "branch": order.branch,
            "expected_on": expected_on,
            "accepted_at": now,
            "state_at": now,
            "changed_at": now,
        }


def _lines(order: Order, parcel_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "fulfillment_id": order.fulfillment_id,
            "line_number": reward.line,
            "parcel_id": parcel_id,
            "reward_code": reward.code,
            "names": reward.names,
        }
        for reward in order.rewards
    ]


def _first_event(order: Order, row: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "parcel_id": row["id"],
        "number": 1,
        "kind": row["state"],
        "state": row["state"],
        "at": now,
        "recorded_at": now,
        "actor": order.actor.name,
        "facts": {},
    }


def _packed(order: Order, row: dict[str, Any]) -> Entry:
    after = {"state": row["state"], "version": 1, "fulfillment": order.fulfillment_id, "way": row["way"]}
    return Entry("parcel.preparing", f"parcel:{row['id']}", order.actor, after=after)
