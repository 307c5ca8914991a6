"""Deliveries' SQL. Whoever writes holds the redemption's lock."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.deliveries.domain import Chosen, Delivery, Part, Way
from services.redemption.deliveries.schemas import PartBody
from services.redemption.deliveries.tables import redemption_deliveries
from shared.sets import as_json, insert_rows

_READ = text(
    """
    SELECT redemption_id, way, branch, branch_names, fulfillment_version, parts, went_out
      FROM redemption_deliveries WHERE redemption_id = ANY(CAST(:ids AS uuid[]))
    """
)
_SEALED = text(
    "SELECT redemption_id, way, branch, contact_sealed, address_sealed FROM redemption_deliveries "
    "WHERE redemption_id = ANY(CAST(:ids AS uuid[]))"
)
_SAVE = text(
    """
    UPDATE redemption_deliveries d SET fulfillment_version = n.version, parts = CAST(n.parts AS jsonb), went_out = n.went_out,
           changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS int[]), CAST(:parts AS text[]), CAST(:went_out AS boolean[]))
           AS n(redemption_id, version, parts, went_out)
     WHERE d.redemption_id = n.redemption_id
    """
)


@dataclass(frozen=True, slots=True)
class SealedDelivery:
    """Where a redemption goes, as the database keeps it."""

    redemption_id: UUID
    way: str
    branch: str | None
    contact_sealed: bytes
    address_sealed: bytes | None


async def insert(conn: AsyncConnection, chosen: Sequence[tuple[UUID, Chosen]], now: datetime) -> None:
    """Write down the ways that were chosen; nothing is sent to the database when there are none."""
    await insert_rows(
        conn,
        redemption_deliveries,
        [
            {
                "redemption_id": redemption_id,
                "way": one.way.value,
                "branch": one.branch.code if one.branch else None,
                "branch_names": dict(one.branch.names) if one.branch else None,
                "contact_sealed": one.contact_sealed,
                "address_sealed": one.address_sealed,
                "changed_at": now,
            }
            for redemption_id, one in chosen
        ],
    )


async def read(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Delivery]:
    """What is known of the deliveries of redemptions; those of e-vouchers alone have none."""
    return {
        row.redemption_id: Delivery(
            redemption_id=row.redemption_id,
            way=Way(row.way),
            branch=row.branch,
            branch_names=row.branch_names,
            fulfillment_version=row.fulfillment_version,
            parts=_parts(row.parts),
            went_out=row.went_out,
        )
        for row in await conn.execute(_READ, {"ids": list(ids)})
    }


async def read_sealed(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, SealedDelivery]:
    """Where redemptions go, sealed."""
    return {row.redemption_id: SealedDelivery(*row) for row in await conn.execute(_SEALED, {"ids": list(ids)})}


async def save(conn: AsyncConnection, changed: Sequence[Delivery], now: datetime) -> None:
    """Write what fulfillment told last."""
    if changed:
        values = {
            "ids": [one.redemption_id for one in changed],
            "versions": [one.fulfillment_version for one in changed],
            "parts": [as_json([asdict(part) for part in one.parts]) for one in changed],
            "went_out": [one.went_out for one in changed],
            "now": now,
        }
        await conn.execute(_SAVE, values)


def _parts(kept: Sequence[dict[str, object]]) -> tuple[Part, ...]:
    return tuple(PartBody.model_validate(part).as_part() for part in kept)
