"""SQL of parcels as people see them: pages of them, what is in them, and their timelines."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.parcels.domain import ENDED, Event, Parcel, ParcelState, Reward
from services.fulfillment.parcels.store import COLUMNS, parcel_of
from services.fulfillment.vouchers.domain import Owner

_LIVE = "p.state NOT IN ({})".format(", ".join(f"'{state.value}'" for state in sorted(ENDED)))
_IDS = "CAST(:ids AS uuid[])"
# What a carrier tells is told in the carrier's order, behind what happened before the carrier had it.
_EVENTS = text(
    f"""
    SELECT parcel_id, number, kind, state, at, place, sequence FROM parcel_events WHERE parcel_id = ANY({_IDS})
     ORDER BY parcel_id, coalesce(sequence, 0), number
    """
)
_REWARDS = text(
    f"""
    SELECT x.parcel_id, x.line_number, l.quantity, x.reward_code, x.names
      FROM parcel_lines x JOIN fulfillment_lines l ON l.fulfillment_id = x.fulfillment_id AND l.number = x.line_number
     WHERE x.parcel_id = ANY({_IDS}) ORDER BY x.parcel_id, x.line_number
    """
)
_BEFORE = "(CAST(:before AS uuid) IS NULL OR p.id < CAST(:before AS uuid)) ORDER BY p.id DESC LIMIT :most"
_OF_OWNER = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.owner_subject = :subject AND p.owner_issuer = :issuer AND {_BEFORE}")
_OF_CUSTOMER = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.customer_id = :customer_id AND {_BEFORE}")
_AT_BRANCH = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.branch = :branch AND p.state = :state AND {_BEFORE}")
_LIVE_AT_BRANCH = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.branch = :branch AND {_LIVE} AND {_BEFORE}")


async def events_of(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, list[Event]]:
    """The timelines of these parcels, each in its order."""
    found: dict[UUID, list[Event]] = defaultdict(list)
    for row in await conn.execute(_EVENTS, {"ids": sorted(ids)}):
        event = Event(row.number, row.kind, ParcelState(row.state), row.at, row.place, row.sequence)
        found[row.parcel_id].append(event)
    return found


async def rewards_in(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, list[Reward]]:
    """What is in these parcels, by line."""
    found: dict[UUID, list[Reward]] = defaultdict(list)
    for row in await conn.execute(_REWARDS, {"ids": sorted(ids)}):
        found[row.parcel_id].append(Reward(row.line_number, row.quantity, row.reward_code, row.names))
    return found


async def page_of_owner(conn: AsyncConnection, owner: Owner, before: UUID | None, most: int) -> list[Parcel]:
    """An owner's parcels, newest first."""
    values = {"subject": owner.subject, "issuer": owner.issuer, "before": before, "most": most}
    return [parcel_of(row) for row in await conn.execute(_OF_OWNER, values)]


async def page_of_customer(conn: AsyncConnection, customer_id: UUID, before: UUID | None, most: int) -> list[Parcel]:
    """A customer's parcels, newest first."""
    values = {"customer_id": customer_id, "before": before, "most": most}
    return [parcel_of(row) for row in await conn.execute(_OF_CUSTOMER, values)]


async def page_at_branch(
    conn: AsyncConnection, branch: str, state: ParcelState | None, before: UUID | None, most: int
) -> list[Parcel]:
    """A branch's parcels in a state, newest first; where none is given those that are not at their end."""
    values: dict[str, Any] = {"branch": branch, "before": before, "most": most}
    if state is None:
        return [parcel_of(row) for row in await conn.execute(_LIVE_AT_BRANCH, values)]
    return [parcel_of(row) for row in await conn.execute(_AT_BRANCH, {**values, "state": state.value})]
