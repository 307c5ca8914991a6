"""SQL of parcels: adding, locking and changing them, in the order of their ids."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.parcels.domain import WITH_CARRIER, Parcel, ParcelState, Standing, Way
from services.fulfillment.parcels.tables import parcel_events, parcel_lines, parcels, pickup_attempts
from services.fulfillment.vouchers.domain import Owner
from shared.ids import new_id
from shared.sets import insert_rows

COLUMNS = """
    p.id, p.fulfillment_id, p.way, p.state, p.version, p.customer_id, p.owner_issuer, p.owner_subject, p.contact_sealed,
    p.address_sealed, p.branch, p.expected_on, p.carrier, p.tracking_number, p.carrier_sequence, p.code_hmac, p.code_sealed,
    p.ready_until, p.accepted_at, p.state_at
"""
_IDS = "CAST(:ids AS uuid[])"
_IN_ORDER = "ORDER BY p.id FOR NO KEY UPDATE OF p"
_LOCK = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.id = ANY({_IDS}) {_IN_ORDER}")
_LOCK_OF = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.fulfillment_id = ANY({_IDS}) {_IN_ORDER}")
_LOCK_TRACKED = text(
    f"""
    SELECT {COLUMNS} FROM unnest(CAST(:carriers AS text[]), CAST(:numbers AS text[])) AS told(carrier, number)
      JOIN parcels p ON p.carrier = told.carrier AND p.tracking_number = told.number
     {_IN_ORDER}
    """
)
_LOCK_OVERDUE = text(
    f"SELECT {COLUMNS} FROM parcels p WHERE p.state = 'ready' AND p.ready_until < :today ORDER BY p.id LIMIT :most "
    "FOR NO KEY UPDATE OF p"
)
_REMIND = text(
    f"""
    UPDATE parcels p SET reminded_at = :now
     WHERE p.id = ANY(ARRAY(SELECT id FROM parcels WHERE state = 'ready' AND ready_until <= :until AND ready_until >= :today
                               AND reminded_at IS NULL ORDER BY id LIMIT :most FOR NO KEY UPDATE))
    RETURNING {COLUMNS}
    """
)
_REFUSED = text(
    f"""
    UPDATE parcels p SET refusals = refusals + 1
     WHERE p.id = ANY(ARRAY(SELECT id FROM parcels WHERE id = ANY({_IDS}) AND state = 'dispatching'
                             ORDER BY id FOR NO KEY UPDATE))
    RETURNING p.id, p.refusals
    """
)
_OF = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.fulfillment_id = ANY({_IDS}) ORDER BY p.id")
_ONE = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.id = :id")
_SOME = text(f"SELECT {COLUMNS} FROM parcels p WHERE p.id = ANY({_IDS}) ORDER BY p.id")
_CONTACTS = text(f"SELECT id, contact_sealed FROM parcels WHERE id = ANY({_IDS})")
_WITH_CARRIER = text(f"SELECT id FROM parcels WHERE id = ANY({_IDS}) AND state = ANY(CAST(:states AS text[]))")
_CHANGE = text(
    """
    UPDATE parcels p SET state = now.state, version = now.version, carrier = now.carrier,
           tracking_number = now.tracking_number, carrier_sequence = now.carrier_sequence, code_hmac = now.code_hmac,
           code_sealed = now.code_sealed, ready_until = now.ready_until, state_at = now.state_at, changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:before AS int[]), CAST(:states AS text[]), CAST(:versions AS int[]),
                  CAST(:carriers AS text[]), CAST(:numbers AS text[]), CAST(:sequences AS int[]), CAST(:hmacs AS bytea[]),
                  CAST(:sealed AS bytea[]), CAST(:untils AS date[]), CAST(:state_ats AS timestamptz[]))
           AS now(id, before, state, version, carrier, tracking_number, carrier_sequence, code_hmac, code_sealed, ready_until,
                  state_at)
     WHERE p.id = now.id AND p.version = now.before
    RETURNING p.id
    """
)
# The headers are locked before their parcels are looked at, so that of two parcels that end at once the later sees both.
_LOCK_HEADERS = text(f"SELECT id FROM fulfillments WHERE id = ANY({_IDS}) ORDER BY id FOR NO KEY UPDATE")
_STATES_OF = text(
    f"""
    SELECT p.fulfillment_id AS id, array_agg(p.state) AS states,
           EXISTS (SELECT FROM fulfillment_lines l
                    WHERE l.fulfillment_id = p.fulfillment_id AND l.kind = 'e_voucher') AS vouchers
      FROM parcels p WHERE p.fulfillment_id = ANY({_IDS}) GROUP BY p.fulfillment_id
    """
)
_CHANGE_HEADERS = text(
    """
    UPDATE fulfillments f SET state = now.state, version = f.version + now.steps, changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:steps AS int[])) AS now(id, state, steps)
     WHERE f.id = now.id
    """
)
_SEQUENCES = text(f"SELECT parcel_id, sequence FROM parcel_events WHERE parcel_id = ANY({_IDS}) AND sequence IS NOT NULL")
_CODES_TAKEN = text(
    "SELECT code_hmac FROM parcels WHERE branch = :branch AND state = 'ready' AND code_hmac = ANY(CAST(:hmacs AS bytea[]))"
)
# One after the other in the order of their names; a row that another open transaction just writes is waited for.
_COUNT = text("INSERT INTO pickup_counts SELECT * FROM unnest(CAST(:keys AS text[])) ON CONFLICT DO NOTHING")
_LOCK_COUNTS = text('SELECT "of" FROM pickup_counts WHERE "of" = ANY(CAST(:keys AS text[])) ORDER BY "of" FOR NO KEY UPDATE')
_ATTEMPTS = text(
    " UNION ALL ".join(
        f"(SELECT '{whose}' AS whose, at FROM pickup_attempts WHERE {column} = :{whose} AND at > :since "
        "ORDER BY at DESC LIMIT :most)"
        for whose, column in (("parcel", "parcel_id"), ("person", "person"), ("branch", "branch"))
    )
)


async def insert_parcels(conn: AsyncConnection, rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> None:
    """Write new parcels and what is in them."""
    await insert_rows(conn, parcels, rows)
    await insert_rows(conn, parcel_lines, lines)


async def insert_events(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write lines of timelines."""
    await insert_rows(conn, parcel_events, rows)


async def lock(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, Parcel]:
    """Lock parcels in the order of their ids. Whoever locks headers too does it after that."""
    return _by_id(await conn.execute(_LOCK, {"ids": sorted(ids)}))


async def lock_of(conn: AsyncConnection, fulfillments: Collection[UUID]) -> dict[UUID, Parcel]:
    """Lock all parcels of these fulfillments, likewise."""
    return _by_id(await conn.execute(_LOCK_OF, {"ids": sorted(fulfillments)}))


async def lock_tracked(conn: AsyncConnection, keys: Collection[tuple[str, str]]) -> dict[UUID, Parcel]:
    """Lock the parcels under these (carrier, tracking number), likewise."""
    asked = sorted(set(keys))
    values = {"carriers": [carrier for carrier, _ in asked], "numbers": [number for _, number in asked]}
    return _by_id(await conn.execute(_LOCK_TRACKED, values))


async def lock_overdue(conn: AsyncConnection, today: date, most: int) -> dict[UUID, Parcel]:
    """Lock parcels that lie at a branch past their last day, likewise."""
    return _by_id(await conn.execute(_LOCK_OVERDUE, {"today": today, "most": most}))


async def mark_reminded(conn: AsyncConnection, now: datetime, today: date, until: date, most: int) -> list[Parcel]:
    """Note that the customers of parcels whose last day is near are reminded. Answers of which."""
    values = {"now": now, "today": today, "until": until, "most": most}
    return [parcel_of(row) for row in await conn.execute(_REMIND, values)]


async def change(conn: AsyncConnection, now: datetime, changed: Sequence[tuple[Parcel, Parcel]]) -> int:
    """Write locked parcels as they are now, each if it still is as it was before. Answers how many were."""
    values = {
        "now": now,
        "ids": [after.id for _, after in changed],
        "before": [before.version for before, _ in changed],
        "states": [after.state.value for _, after in changed],
        "versions": [after.version for _, after in changed],
        "carriers": [after.carrier for _, after in changed],
        "numbers": [after.tracking_number for _, after in changed],
        "sequences": [after.carrier_sequence for _, after in changed],
        "hmacs": [after.code_hmac for _, after in changed],
        "sealed": [after.code_sealed for _, after in changed],
        "untils": [after.ready_until for _, after in changed],
        "state_ats": [after.state_at for _, after in changed],
    }
    return len((await conn.execute(_CHANGE, values)).all())


async def count_refusals(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, int]:
    """Note that the carrier does not take these. Answers how often it has said so of each that still waits for it."""
    return {row.id: row.refusals for row in await conn.execute(_REFUSED, {"ids": sorted(ids)})}


async def lock_headers(conn: AsyncConnection, fulfillments: Collection[UUID]) -> None:
    """Lock the headers of these fulfillments in the order of their ids."""
    await conn.execute(_LOCK_HEADERS, {"ids": sorted(fulfillments)})


async def states_of(conn: AsyncConnection, fulfillments: Collection[UUID]) -> dict[UUID, tuple[list[ParcelState], bool]]:
    """Where the parcels of each fulfillment stand, and whether it issued e-vouchers too."""
    found = await conn.execute(_STATES_OF, {"ids": sorted(fulfillments)})
    return {row.id: ([ParcelState(state) for state in row.states], row.vouchers) for row in found}


async def change_headers(conn: AsyncConnection, now: datetime, told: Sequence[tuple[UUID, Standing, int]]) -> None:
    """Write where locked fulfillments stand; their version rises by so many steps."""
    values = {
        "now": now,
        "ids": [one for one, _, _ in told],
        "states": [state.value for _, state, _ in told],
        "steps": [steps for _, _, steps in told],
    }
    await conn.execute(_CHANGE_HEADERS, values)


async def of_fulfillments(conn: AsyncConnection, fulfillments: Collection[UUID]) -> list[Parcel]:
    """All parcels of these fulfillments."""
    return [parcel_of(row) for row in await conn.execute(_OF, {"ids": sorted(fulfillments)})]


async def find(conn: AsyncConnection, parcel_id: UUID) -> Parcel | None:
    """One parcel."""
    row = (await conn.execute(_ONE, {"id": parcel_id})).one_or_none()
    return None if row is None else parcel_of(row)


async def some(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, Parcel]:
    """These parcels as they are now."""
    return _by_id(await conn.execute(_SOME, {"ids": sorted(ids)}))


async def sealed_contacts(conn: AsyncConnection, ids: Sequence[UUID]) -> list[tuple[UUID, bytes]]:
    """The sealed contacts of these parcels."""
    return [(row.id, bytes(row.contact_sealed)) for row in await conn.execute(_CONTACTS, {"ids": list(ids)})]


async def with_carrier(conn: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these are with their carrier and not at their end."""
    values = {"ids": list(ids), "states": [state.value for state in WITH_CARRIER]}
    return set((await conn.execute(_WITH_CARRIER, values)).scalars())


async def sequences_of(conn: AsyncConnection, ids: Collection[UUID]) -> set[tuple[UUID, int]]:
    """Which numbers of carriers the timelines of these parcels hold."""
    return {(row.parcel_id, row.sequence) for row in await conn.execute(_SEQUENCES, {"ids": sorted(ids)})}


async def codes_taken(conn: AsyncConnection, branch: str, hmacs: Sequence[bytes]) -> set[bytes]:
    """Which of these codes wait at the branch already."""
    found = await conn.execute(_CODES_TAKEN, {"branch": branch, "hmacs": list(hmacs)})
    return {bytes(one) for one in found.scalars()}


async def lock_counts(conn: AsyncConnection, person: str, branch: str) -> None:
    """Make whoever else counts this person's or this branch's attempts wait for the end of this transaction."""
    keys = sorted((f"branch {branch}", f"person {person}"))
    if len((await conn.execute(_LOCK_COUNTS, {"keys": keys})).all()) < len(keys):
        await conn.execute(_COUNT, {"keys": keys})
        await conn.execute(_LOCK_COUNTS, {"keys": keys})


async def note_attempt(conn: AsyncConnection, now: datetime, parcel_id: UUID, person: str, branch: str) -> None:
    """Write down that a wrong code was tried."""
    row = {"id": new_id(), "parcel_id": parcel_id, "person": person, "branch": branch, "at": now}
    await insert_rows(conn, pickup_attempts, [row])


async def attempts_since(
    conn: AsyncConnection, parcel_id: UUID, person: str, branch: str, since: datetime, most: int
) -> dict[str, list[datetime]]:
    """When wrong codes were tried for a locked parcel, by a locked person and at a locked branch, the last first."""
    values = {"parcel": parcel_id, "person": person, "branch": branch, "since": since, "most": most}
    found: dict[str, list[datetime]] = {"parcel": [], "person": [], "branch": []}
    for row in await conn.execute(_ATTEMPTS, values):
        found[row.whose].append(row.at)
    return {whose: sorted(tried, reverse=True) for whose, tried in found.items()}


def _by_id(rows: Iterable[Row[Any]]) -> dict[UUID, Parcel]:
    return {row.id: parcel_of(row) for row in rows}


def parcel_of(row: Row[Any]) -> Parcel:
    """The parcel in a row that has its columns."""
    return Parcel(
        id=row.id,
        fulfillment_id=row.fulfillment_id,
        way=Way(row.way),
        state=ParcelState(row.state),
        version=row.version,
        customer_id=row.customer_id,
        owner=Owner(row.owner_issuer, row.owner_subject),
        contact_sealed=bytes(row.contact_sealed),
        address_sealed=None if row.address_sealed is None else bytes(row.address_sealed),
        branch=row.branch,
        expected_on=row.expected_on,
        carrier=row.carrier,
        tracking_number=row.tracking_number,
        carrier_sequence=row.carrier_sequence,
        code_hmac=None if row.code_hmac is None else bytes(row.code_hmac),
        code_sealed=None if row.code_sealed is None else bytes(row.code_sealed),
        ready_until=row.ready_until,
        accepted_at=row.accepted_at,
        state_at=row.state_at,
    )
