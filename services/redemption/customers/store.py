"""Customers' SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers.domain import Customer
from services.redemption.customers.personal_data import SealedContact
from services.redemption.customers.tables import customers
from shared.sets import insert_rows
from shared.statements import fetch

_SELECT = """
    SELECT c.id, a.id AS account_id, c.customer_number, c.issuer, c.subject, c.tier, c.language
      FROM customers c JOIN accounts a ON a.customer_id = c.id
"""
_BY_IDENTITY = text(
    _SELECT
    + """ JOIN unnest(CAST(:issuers AS text[]), CAST(:subjects AS text[])) AS asked(issuer, subject)
            ON c.issuer = asked.issuer AND c.subject = asked.subject"""
)
_BY_IDS = text(_SELECT + " WHERE c.id = ANY(CAST(:ids AS uuid[]))")
_BY_PHONE = text(_SELECT + " WHERE c.phone_lookup = :lookup ORDER BY c.id LIMIT :most")
_BY_NAME = text(_SELECT + " WHERE c.name_lookup = :lookup ORDER BY c.id LIMIT :most")
_BY_NUMBER = text(_SELECT + " WHERE c.customer_number = ANY(CAST(:numbers AS text[]))")
_LOCK_BY_NUMBER = text(
    "SELECT id, customer_number, data_key FROM customers WHERE customer_number = ANY(CAST(:numbers AS text[])) "
    "ORDER BY id FOR NO KEY UPDATE"
)
_CONTACTS = text(
    "SELECT id, data_key, name_sealed, phone_sealed, phone_lookup, name_lookup FROM customers "
    "WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_LOCK_UNNAMED = text(
    "SELECT id, data_key, name_sealed, phone_sealed, phone_lookup, name_lookup FROM customers "
    "WHERE name_lookup IS NULL AND id > :after ORDER BY id LIMIT :most FOR NO KEY UPDATE"
)
_SET_NAME_LOOKUPS = text(
    """
    UPDATE customers c SET name_lookup = n.lookup
      FROM unnest(CAST(:ids AS uuid[]), CAST(:lookups AS bytea[])) AS n(id, lookup) WHERE c.id = n.id
    """
)
_UPDATE = text(
    """
    UPDATE customers c SET tier = n.tier, language = n.language,
           name_sealed = n.name, phone_sealed = n.phone, phone_lookup = n.lookup, name_lookup = n.name_lookup, changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:tiers AS text[]),
                  CAST(:languages AS text[]), CAST(:names AS bytea[]), CAST(:phones AS bytea[]), CAST(:lookups AS bytea[]),
                  CAST(:name_lookups AS bytea[]))
           AS n(id, tier, language, name, phone, lookup, name_lookup)
     WHERE c.id = n.id
    """
)


async def find_by_identity(conn: AsyncConnection, identities: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Customer]:
    """Customers by (issuer, subject) of their sign-in."""
    issuers, subjects = [issuer for issuer, _ in identities], [subject for _, subject in identities]
    found = await fetch(conn, _BY_IDENTITY, {"issuers": issuers, "subjects": subjects})
    return {(row.issuer, row.subject): Customer(*row) for row in found}


async def find_by_ids(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers by our own id."""
    return {row.id: Customer(*row) for row in await conn.execute(_BY_IDS, {"ids": list(ids)})}


async def find_by_phone(conn: AsyncConnection, phone_lookup: bytes, most: int) -> list[Customer]:
    """Those who share a telephone number."""
    return [Customer(*row) for row in await conn.execute(_BY_PHONE, {"lookup": phone_lookup, "most": most})]


async def find_by_name(conn: AsyncConnection, name_lookup: bytes, most: int) -> list[Customer]:
    """Those who share a name."""
    return [Customer(*row) for row in await conn.execute(_BY_NAME, {"lookup": name_lookup, "most": most})]


async def find_by_numbers(conn: AsyncConnection, numbers: Sequence[str]) -> dict[str, Customer]:
    """Customers by the bank's number."""
    return {row.customer_number: Customer(*row) for row in await conn.execute(_BY_NUMBER, {"numbers": list(numbers)})}


async def read_contacts(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, SealedContact]:
    """Contact data, sealed, by customer."""
    found = await conn.execute(_CONTACTS, {"ids": list(ids)})
    return {row.id: SealedContact(*row[1:]) for row in found}


async def lock_unnamed(conn: AsyncConnection, *, after: UUID, most: int) -> dict[UUID, SealedContact]:
    """Customers whom nobody can find by name yet, in the order of their ids."""
    found = await conn.execute(_LOCK_UNNAMED, {"after": after, "most": most})
    return {row.id: SealedContact(*row[1:]) for row in found}


async def set_name_lookups(conn: AsyncConnection, lookups: Mapping[UUID, bytes]) -> None:
    """From now on these are found by name."""
    await conn.execute(_SET_NAME_LOOKUPS, {"ids": list(lookups), "lookups": list(lookups.values())})


async def lock_by_numbers(conn: AsyncConnection, numbers: Sequence[str]) -> dict[str, tuple[UUID, bytes]]:
    """(id, sealed data key) of the customers that exist, by the bank's number."""
    found = await conn.execute(_LOCK_BY_NUMBER, {"numbers": list(numbers)})
    return {row.customer_number: (row.id, row.data_key) for row in found}


async def insert_customers(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """New customers."""
    await insert_rows(conn, customers, rows)


async def update_customers(conn: AsyncConnection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Customers whose data changed."""
    if not rows:
        return
    pairs = {
        "ids": "id", "tiers": "tier", "languages": "language",
        "names": "name_sealed", "phones": "phone_sealed", "lookups": "phone_lookup",
        "name_lookups": "name_lookup",
    }  # fmt: skip
    await conn.execute(_UPDATE, {name: [row[column] for row in rows] for name, column in pairs.items()} | {"now": now})
