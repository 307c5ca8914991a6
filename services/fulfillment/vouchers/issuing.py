"""Issuing vouchers inside the commit that accepts them: codes, promises, vouchers and audit rows, each kind as one set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.vouchers import store
from services.fulfillment.vouchers.codes import CodeSafe, new_code
from services.fulfillment.vouchers.domain import Owner, Promise, VoucherState, expires_at
from shared.audit import Actor, Audit, Entry
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class Order:
    """So many vouchers of one promise for one owner, by one line of a fulfillment."""

    fulfillment_id: UUID
    line_number: int
    quantity: int
    promise: Promise
    customer_id: UUID
    owner: Owner
    actor: Actor


class Issuing:
    """Makes vouchers."""

    def __init__(self, audit: Audit, safe: CodeSafe, timezone: ZoneInfo) -> None:
        """Days of validity are days of `timezone`, the bank's."""
        self._audit = audit
        self._safe = safe
        self._timezone = timezone

    async def issue(self, conn: AsyncConnection, now: datetime, orders: Sequence[Order]) -> None:
        """Write everything in the caller's transaction. The codes leave it sealed and are told to nobody."""
        rows, entries = [], []
        for order in orders:
            for unit in range(1, order.quantity + 1):
                row = self._voucher(order, unit, now)
                rows.append(row)
                entries.append(_issued(order, row))
        await store.insert_promises(conn, [(order.fulfillment_id, order.line_number, order.promise) for order in orders])
        await store.insert_vouchers(conn, rows)
        await self._audit.record(conn, now, entries)

    def _voucher(self, order: Order, unit: int, now: datetime) -> dict[str, Any]:
        voucher_id, code = new_id(), new_code()
        return {
            "id": voucher_id,
            "fulfillment_id": order.fulfillment_id,
            "line_number": order.line_number,
            "unit_number": unit,
            "customer_id": order.customer_id,
            "owner_issuer": order.owner.issuer,
            "owner_subject": order.owner.subject,
            "code_hmac": self._safe.look_up(code),
            "code_sealed": self._safe.seal(voucher_id, code),
            "state": VoucherState.ISSUED.value,
            "issued_at": now,
            "expires_at": expires_at(now, order.promise.valid_days, self._timezone),
            "changed_at": now,
        }


def _issued(order: Order, row: dict[str, Any]) -> Entry:
    after = {
        "state": row["state"],
        "fulfillment": order.fulfillment_id,
        "line": order.line_number,
        "unit": row["unit_number"],
        "expires_at": row["expires_at"].isoformat(),
    }
    return Entry("voucher.issued", f"voucher:{row['id']}", order.actor, after=after)
