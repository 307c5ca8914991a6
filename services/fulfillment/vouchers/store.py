"""SQL of vouchers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.vouchers.domain import Owner, Promise, Voucher, VoucherState
from services.fulfillment.vouchers.tables import voucher_promises, vouchers
from shared.sets import insert_rows

_COLUMNS = """
    v.id, v.fulfillment_id, v.line_number, v.unit_number, v.state, v.issued_at, v.expires_at, v.used_at,
    p.reward_code, p.names, p.terms, p.face_value_minor, p.currency, p.valid_days, p.merchants
"""
_FROM = "FROM vouchers v JOIN voucher_promises p USING (fulfillment_id, line_number)"
_BEFORE = "(CAST(:before AS uuid) IS NULL OR v.id < CAST(:before AS uuid)) ORDER BY v.id DESC LIMIT :most"
_OWNED = "v.owner_subject = :subject AND v.owner_issuer = :issuer"
_OF_CUSTOMER = text(f"SELECT {_COLUMNS} {_FROM} WHERE v.customer_id = :customer_id AND {_BEFORE}")
_OF_OWNER = text(f"SELECT {_COLUMNS} {_FROM} WHERE {_OWNED} AND {_BEFORE}")
_OF_BOTH = text(f"SELECT {_COLUMNS} {_FROM} WHERE {_OWNED} AND v.customer_id = :customer_id AND {_BEFORE}")
_OWNS_ANY = text(f"SELECT 1 FROM vouchers v WHERE {_OWNED} AND v.customer_id = :customer_id LIMIT 1")
_ONE = text(f"SELECT {_COLUMNS}, v.owner_issuer, v.owner_subject, v.customer_id, v.code_sealed {_FROM} WHERE v.id = :id")
_USE = text(
    """
    UPDATE vouchers SET state = 'used', used_at = :now, changed_at = :now
     WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'issued' AND expires_at > :now
    RETURNING id
    """
)
_ISSUE_AGAIN = text(
    """
    UPDATE vouchers SET state = 'issued', used_at = NULL, changed_at = :now
     WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'used'
    RETURNING id
    """
)
# An array, not IN: a join may run the inner SELECT again for every row, and then its LIMIT holds nothing back.
_EXPIRE = text(
    """
    UPDATE vouchers SET state = 'expired', changed_at = :now
     WHERE id = ANY(ARRAY(SELECT id FROM vouchers WHERE state = 'issued' AND expires_at <= :now
                           ORDER BY id LIMIT :most FOR NO KEY UPDATE))
       AND state = 'issued'
    RETURNING id
    """
)


async def insert_promises(conn: AsyncConnection, promises: Sequence[tuple[UUID, int, Promise]]) -> None:
    """Write what each (fulfillment, line) promises."""
    rows = [
        {
            "fulfillment_id": fulfillment_id,
            "line_number": number,
            "reward_code": promise.reward_code,
            "names": promise.names,
            "terms": promise.terms,
            "face_value_minor": promise.face_value_minor,
            "currency": promise.currency,
            "valid_days": promise.valid_days,
            "merchants": promise.merchants,
        }
        for fulfillment_id, number, promise in promises
    ]
    await insert_rows(conn, voucher_promises, rows)


async def insert_vouchers(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write new vouchers."""
    await insert_rows(conn, vouchers, rows)


async def page_of(
    conn: AsyncConnection, *, customer_id: UUID | None, owner: Owner | None, before: UUID | None, most: int
) -> list[Voucher]:
    """Vouchers, newest first, of a customer, of an owner, or of both where both are given."""
    values: dict[str, Any] = {"before": before, "most": most}
    if customer_id is not None:
        values["customer_id"] = customer_id
    if owner is not None:
        values |= {"issuer": owner.issuer, "subject": owner.subject}
    statement = _OF_CUSTOMER if owner is None else _OF_OWNER if customer_id is None else _OF_BOTH
    return [_voucher(row) for row in await conn.execute(statement, values)]


async def owns_any(conn: AsyncConnection, customer_id: UUID, owner: Owner) -> bool:
    """Whether this owner has a voucher as this customer."""
    values = {"customer_id": customer_id, "issuer": owner.issuer, "subject": owner.subject}
    return (await conn.execute(_OWNS_ANY, values)).first() is not None


async def find(conn: AsyncConnection, voucher_id: UUID) -> tuple[Voucher, Owner, UUID, bytes] | None:
    """A voucher, whose it is as tokens name them, the customer's id, and its sealed code."""
    row = (await conn.execute(_ONE, {"id": voucher_id})).one_or_none()
    if row is None:
        return None
    return _voucher(row), Owner(row.owner_issuer, row.owner_subject), row.customer_id, bytes(row.code_sealed)


async def mark_used(conn: AsyncConnection, now: datetime, ids: Sequence[UUID]) -> int:
    """Use locked vouchers, each only if it is issued and in time. Answers how many were."""
    return len((await conn.execute(_USE, {"now": now, "ids": list(ids)})).all())


async def mark_issued_again(conn: AsyncConnection, now: datetime, ids: Sequence[UUID]) -> int:
    """Give locked vouchers back after their use was reversed, each only if it is used. Answers how many were."""
    return len((await conn.execute(_ISSUE_AGAIN, {"now": now, "ids": list(ids)})).all())


async def expire_due(conn: AsyncConnection, now: datetime, most: int) -> list[UUID]:
    """Mark vouchers whose time is over. Answers which."""
    return list((await conn.execute(_EXPIRE, {"now": now, "most": most})).scalars())


def _voucher(row: Row[Any]) -> Voucher:
    return Voucher(
        id=row.id,
        fulfillment_id=row.fulfillment_id,
        line_number=row.line_number,
        unit_number=row.unit_number,
        state=VoucherState(row.state),
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        promise=promise_of(row),
    )


def promise_of(row: Row[Any]) -> Promise:
    """The promise in a row that has its columns."""
    return Promise(
        reward_code=row.reward_code,
        names=row.names,
        terms=row.terms,
        face_value_minor=row.face_value_minor,
        currency=row.currency,
        valid_days=row.valid_days,
        merchants=tuple(row.merchants),
    )
