"""The address book's SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.addresses.domain import SealedAddress

_SELECT = "SELECT id, customer_id, place, sealed, is_default FROM customer_addresses"
_LOCK_BOOK = text("SELECT id FROM customers WHERE id = :customer FOR NO KEY UPDATE")
_OF_CUSTOMER = text(_SELECT + " WHERE customer_id = :customer ORDER BY is_default DESC, place")
_ONE = text(_SELECT + " WHERE id = :id")
_NO_DEFAULT = text(
    "UPDATE customer_addresses SET is_default = false, changed_at = :now "
    "WHERE customer_id = :customer AND is_default AND id <> :id"
)
_PUT = text(
    """
    INSERT INTO customer_addresses (id, customer_id, place, sealed, is_default, created_at, changed_at)
    VALUES (:id, :customer, :place, :sealed, :is_default, :now, :now)
    ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, is_default = excluded.is_default, changed_at = excluded.changed_at
        WHERE customer_addresses.customer_id = excluded.customer_id
    RETURNING id
    """
)
_DELETE = text("DELETE FROM customer_addresses WHERE id = :id AND customer_id = :customer RETURNING id")


async def lock_book(conn: AsyncConnection, customer_id: UUID) -> None:
    """Nobody else changes this customer's book until the transaction ends."""
    await conn.execute(_LOCK_BOOK, {"customer": customer_id})


async def read_book(conn: AsyncConnection, customer_id: UUID) -> Sequence[SealedAddress]:
    """All addresses of a customer, the default one first."""
    return [SealedAddress(*row) for row in await conn.execute(_OF_CUSTOMER, {"customer": customer_id})]


async def read_one(conn: AsyncConnection, address_id: UUID) -> SealedAddress | None:
    """An address, whoever's it is."""
    row = (await conn.execute(_ONE, {"id": address_id})).first()
    return None if row is None else SealedAddress(*row)


async def put(conn: AsyncConnection, address: SealedAddress, now: datetime) -> bool:
    """Write it, new or again; a default takes the place of the one before. False when the id is another customer's."""
    if address.is_default:
        await conn.execute(_NO_DEFAULT, {"customer": address.customer_id, "id": address.id, "now": now})
    values = {
        "id": address.id,
        "customer": address.customer_id,
        "place": address.place,
        "sealed": address.sealed,
        "is_default": address.is_default,
        "now": now,
    }
    return (await conn.execute(_PUT, values)).first() is not None


async def delete(conn: AsyncConnection, customer_id: UUID, address_id: UUID) -> bool:
    """Forget it. False when the customer has no such address."""
    return (await conn.execute(_DELETE, {"customer": customer_id, "id": address_id})).first() is not None
