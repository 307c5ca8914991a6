"""The one way in which parcels change: along their arrows, with timeline, header, audit, report and notices in one commit.

The caller locks the parcels, decides, and hands both in. What one transaction did to a parcel is one set of statements,
however many parcels there are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches import store as branches
from services.fulfillment.branches.domain import Branch
from services.fulfillment.carriers.following import follow_parcels
from services.fulfillment.notices.domain import NoticeKind
from services.fulfillment.notices.requesting import NoticeWish, request_notices
from services.fulfillment.parcels import store
from services.fulfillment.parcels.domain import ARROWS, REFUSED, Change, Parcel, ParcelState, UnknownArrow, Way, standing
from shared.audit import Audit, Entry
from shared.tasks import NewTask, Tasks

REPORT = "report"
"""The task that tells redemption how far a fulfillment is; `fulfillments.reporting` does it."""


@dataclass
class _Plan:
    """What a set of changes comes to."""

    parcels: dict[UUID, Parcel]
    events: list[dict[str, Any]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    steps: Counter[UUID] = field(default_factory=Counter)
    """How often parts of each fulfillment changed their state."""
    told: list[tuple[Change, Parcel]] = field(default_factory=list)
    """What may be told to the customer, with the parcel as it then was."""


class Changing:
    """Carries out changes."""

    def __init__(self, audit: Audit, tasks: Tasks) -> None:
        self._audit = audit
        self._tasks = tasks

    async def apply(
        self, conn: AsyncConnection, now: datetime, locked: Mapping[UUID, Parcel], changes: Sequence[Change]
    ) -> dict[UUID, Parcel]:
        """Carry out changes of locked parcels, in their order. Answers the parcels as they are then.

        Raises UnknownArrow, and nothing is written, when one is no arrow from where its parcel stands.
        """
        plan = _planned(now, locked, changes)
        if not changes:
            return plan.parcels
        await store.insert_events(conn, plan.events)
        changed = [(locked[one], plan.parcels[one]) for one in sorted({change.parcel_id for change in changes})]
        if await store.change(conn, now, changed) != len(changed):
            raise RuntimeError("a parcel that was to be changed was not locked")
        if plan.steps:
            await self._raise_headers(conn, now, plan.steps)
            reports = [NewTask(kind=REPORT, ref=one, run_at=now, dedupe_key=str(one)) for one in plan.steps]
            await self._tasks.add(conn, reports)
        await self._audit.record(conn, now, plan.entries)
        await follow_parcels(conn, now, [change.parcel_id for change in changes if change.to is ParcelState.DISPATCHED])
        await self._tell(conn, now, plan)
        return plan.parcels

    async def _raise_headers(self, conn: AsyncConnection, now: datetime, steps: Mapping[UUID, int]) -> None:
        await store.lock_headers(conn, steps.keys())
        states = await store.states_of(conn, steps.keys())
        told = [(one, standing(states[one][0], vouchers=states[one][1]), steps[one]) for one in sorted(steps)]
        await store.change_headers(conn, now, told)

    async def _tell(self, conn: AsyncConnection, now: datetime, plan: _Plan) -> None:
        codes = {parcel.branch for _, parcel in plan.told if parcel.branch is not None}
        known = await branches.read(conn, codes) if codes else {}
        wishes = [wish for change, parcel in plan.told if (wish := _notice(change, parcel, known.get(parcel.branch or "")))]
        if wishes:
            await request_notices(conn, now, wishes)


def _planned(now: datetime, locked: Mapping[UUID, Parcel], changes: Sequence[Change]) -> _Plan:
    plan = _Plan(dict(locked))
    for change in changes:
        before = plan.parcels[change.parcel_id]
        moves = change.to is not before.state
        if (moves and (before.state, change.to) not in ARROWS) or (not moves and change.sequence is None):
            raise UnknownArrow(f"a parcel does not go from {before.state} to {change.to}")
        at = change.at or now
        after = replace(
            before,
            state=change.to,
            version=before.version + 1,
            state_at=at if moves else before.state_at,
            carrier_sequence=(change.sequence or 0) if change.decides else before.carrier_sequence,
            **change.sets,
        )
        plan.parcels[after.id] = after
        plan.events.append(_event(change, after, at, now))
        plan.entries.append(_audited(change, before, after))
        if moves:
            plan.steps[after.fulfillment_id] += 1
        if moves or change.decides:
            plan.told.append((change, after))
    return plan


def _event(change: Change, after: Parcel, at: datetime, now: datetime) -> dict[str, Any]:
    return {
        "parcel_id": after.id,
        "number": after.version,
        "kind": change.kind or after.state.value,
        "state": after.state.value,
        "at": at,
        "recorded_at": now,
        "place": change.place,
        "sequence": change.sequence,
        "actor": change.actor.name,
        "facts": dict(change.facts),
    }


def _audited(change: Change, before: Parcel, after: Parcel) -> Entry:
    return Entry(
        f"parcel.{change.kind or after.state.value}",
        f"parcel:{after.id}",
        change.actor,
        before={"state": before.state, "version": before.version},
        after={"state": after.state, "version": after.version, "fulfillment": after.fulfillment_id, **change.facts},
    )


def _notice(change: Change, parcel: Parcel, branch: Branch | None) -> NoticeWish | None:
    """What the customer is told of a change, or nothing."""
    kind: NoticeKind
    facts: dict[str, Any]
    match parcel.way, parcel.state:
        case Way.COURIER, ParcelState.DISPATCHED:
            kind, facts = NoticeKind.PARCEL_DISPATCHED, {"carrier": parcel.carrier, "tracking_number": parcel.tracking_number}
        case Way.COURIER, ParcelState.DELIVERED:
            kind, facts = NoticeKind.PARCEL_DELIVERED, {"at": change.at}
        case Way.COURIER, ParcelState.FAILED:
            kind, facts = NoticeKind.DELIVERY_FAILED, {"at": change.at, "place": change.place, "number": change.sequence}
        case Way.COURIER, ParcelState.RETURNED:
            kind, facts = NoticeKind.PARCEL_RETURNED, {}
        case Way.COURIER, ParcelState.CANCELLED if change.kind == REFUSED:
            kind, facts = NoticeKind.PARCEL_REFUSED, {}
        case _, ParcelState.LOST:
            kind, facts = NoticeKind.PARCEL_LOST, {}
        case Way.PICKUP, ParcelState.READY:
            kind, facts = NoticeKind.PICKUP_READY, {**branch_facts(parcel, branch)}
        case Way.PICKUP, ParcelState.RETURNED:
            kind, facts = NoticeKind.PICKUP_EXPIRED, {**branch_facts(parcel, branch)}
        case _:
            return None
    return NoticeWish(parcel.id, parcel.customer_id, kind, {name: fact for name, fact in facts.items() if fact is not None})


def branch_facts(parcel: Parcel, branch: Branch | None) -> dict[str, Any]:
    """What a notice says of the branch at which a parcel lies."""
    facts: dict[str, Any] = {"branch": parcel.branch, "ready_until": parcel.ready_until}
    if branch is not None:
        facts |= {"branch_names": branch.names, "branch_addresses": branch.addresses, "branch_hours": branch.hours}
    return facts
