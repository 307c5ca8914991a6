"""SQL of uses. The order of locks is uses by their numbers, then vouchers by id."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.merchants.domain import Till
from services.fulfillment.tills.domain import Presented, Refusal, Use, UseKey, UseRequest, UseState
from services.fulfillment.tills.tables import uses
from services.fulfillment.vouchers.domain import VoucherState
from services.fulfillment.vouchers.store import promise_of
from shared.sets import as_json, insert_rows

_PRESENTED = """
    SELECT v.code_hmac, v.id, v.state, v.expires_at, v.used_at,
           p.reward_code, p.names, p.terms, p.face_value_minor, p.currency, p.valid_days, p.merchants
      FROM vouchers v JOIN voucher_promises p USING (fulfillment_id, line_number)
     WHERE v.code_hmac = ANY(CAST(:hmacs AS bytea[]))
"""
_FIND_PRESENTED = text(_PRESENTED)
_LOCK_PRESENTED = text(_PRESENTED + "ORDER BY v.id FOR NO KEY UPDATE OF v")
_LOCK_VOUCHERS = text("SELECT id FROM vouchers WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")

_USES = """
    SELECT u.id, u.merchant, u.terminal, u.request_number, u.state, u.fingerprint, u.till_reference, u.voucher_id,
           u.used_at, u.reversed_at, u.refusal, u.refusal_facts, v.expires_at,
           p.reward_code, p.names, p.terms, p.face_value_minor, p.currency, p.valid_days, p.merchants
      FROM uses u
      LEFT JOIN vouchers v ON v.id = u.voucher_id
      LEFT JOIN voucher_promises p ON p.fulfillment_id = v.fulfillment_id AND p.line_number = v.line_number
"""
_LIVE_OF = text(_USES + "WHERE u.voucher_id = ANY(CAST(:ids AS uuid[])) AND u.state = 'live'")
_ASKED_FOR = """
      JOIN unnest(CAST(:merchants AS text[]), CAST(:terminals AS text[]), CAST(:numbers AS text[]))
           AS asked(merchant, terminal, request_number) USING (merchant, terminal, request_number)
"""
_BY_KEY = text(_USES + _ASKED_FOR)
_LOCK_USES = text(f"SELECT u.id FROM uses u {_ASKED_FOR} ORDER BY merchant, terminal, request_number FOR NO KEY UPDATE OF u")
_DECIDE = text(
    """
    UPDATE uses u SET state = d.state, voucher_id = d.voucher_id, used_at = d.used_at, refusal = d.refusal,
           refusal_facts = CAST(d.facts AS jsonb)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:vouchers AS uuid[]), CAST(:used_ats AS timestamptz[]),
                  CAST(:refusals AS text[]), CAST(:facts AS text[])) AS d(id, state, voucher_id, used_at, refusal, facts)
     WHERE u.id = d.id AND u.state = 'asked'
    RETURNING u.id
    """
)
_TAKE = "ON CONFLICT (merchant, terminal, request_number) DO NOTHING RETURNING merchant, terminal, request_number"
_REVERSE = text(
    """
    UPDATE uses SET state = 'reversed', reversed_at = :now
     WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('live', 'refused')
    RETURNING id
    """
)


async def find_presented(conn: AsyncConnection, code_hmac: bytes) -> Presented | None:
    """The voucher with this code, without a lock: for a look that changes nothing."""
    row = (await conn.execute(_FIND_PRESENTED, {"hmacs": [code_hmac]})).one_or_none()
    return None if row is None else _presented(row)


async def lock_presented(conn: AsyncConnection, hmacs: Collection[bytes]) -> dict[bytes, Presented]:
    """Lock the vouchers with these codes in the order of their ids."""
    found = await conn.execute(_LOCK_PRESENTED, {"hmacs": sorted(set(hmacs))})
    return {bytes(row.code_hmac): _presented(row) for row in found}


async def lock_vouchers(conn: AsyncConnection, ids: Collection[UUID]) -> None:
    """Lock vouchers in the order of their ids."""
    await conn.execute(_LOCK_VOUCHERS, {"ids": sorted(set(ids))})


async def uses_by_key(conn: AsyncConnection, keys: Collection[UseKey]) -> dict[UseKey, Use]:
    """The uses that stand under these numbers."""
    found = [_use(row) for row in await conn.execute(_BY_KEY, _columns(keys))]
    return {use.key: use for use in found}


async def live_uses_of(conn: AsyncConnection, voucher_ids: Collection[UUID]) -> dict[UUID, Use]:
    """The live uses of these vouchers."""
    found = [_use(row) for row in await conn.execute(_LIVE_OF, {"ids": sorted(voucher_ids)})]
    return {use.voucher_id: use for use in found if use.voucher_id is not None}


async def lock_uses(conn: AsyncConnection, keys: Collection[UseKey]) -> None:
    """Lock the uses that stand under these numbers, in the order of the numbers."""
    await conn.execute(_LOCK_USES, _columns(keys))


async def take_numbers(conn: AsyncConnection, now: datetime, requests: Sequence[UseRequest]) -> set[UseKey]:
    """Take the numbers of requests that nobody has taken, to be decided in this transaction.

    Those not in the answer stand already; read them. A number that another open transaction is just taking makes this wait
    for its end.
    """
    rows = [
        {
            "id": request.id,
            "merchant": request.till.merchant,
            "terminal": request.till.terminal,
            "request_number": request.request_number,
            "state": UseState.ASKED.value,
            "fingerprint": request.fingerprint,
            "till_reference": request.till_reference,
            "recorded_at": now,
        }
        for request in sorted(requests, key=lambda request: request.key)
    ]
    return {tuple(row) for row in await insert_rows(conn, uses, rows, tail=_TAKE)}


async def leave_tombstones(conn: AsyncConnection, now: datetime, tombstones: Sequence[Use]) -> set[UseKey]:
    """Take the numbers of reversals that come before their uses. Those not in the answer stand already; lock them."""
    rows = [
        {
            "id": use.id,
            "merchant": use.till.merchant,
            "terminal": use.till.terminal,
            "request_number": use.request_number,
            "state": use.state.value,
            "recorded_at": now,
            "reversed_at": use.reversed_at,
        }
        for use in sorted(tombstones, key=lambda use: use.key)
    ]
    return {tuple(row) for row in await insert_rows(conn, uses, rows, tail=_TAKE)}


async def decide(conn: AsyncConnection, decided: Sequence[Use]) -> int:
    """Write how the requests ended whose numbers were taken. Answers how many were."""
    values = {
        "ids": [use.id for use in decided],
        "states": [use.state.value for use in decided],
        "vouchers": [use.voucher_id for use in decided],
        "used_ats": [use.used_at for use in decided],
        "refusals": [None if use.refusal is None else use.refusal.value for use in decided],
        "facts": [None if use.refusal_facts is None else as_json(use.refusal_facts) for use in decided],
    }
    return len((await conn.execute(_DECIDE, values)).all())


async def mark_reversed(conn: AsyncConnection, now: datetime, ids: Collection[UUID]) -> int:
    """Reverse locked uses. Answers how many were."""
    return len((await conn.execute(_REVERSE, {"now": now, "ids": sorted(ids)})).all())


def _columns(keys: Collection[UseKey]) -> dict[str, list[str]]:
    asked = sorted(set(keys))
    return {"merchants": [k[0] for k in asked], "terminals": [k[1] for k in asked], "numbers": [k[2] for k in asked]}


def _presented(row: Row[Any]) -> Presented:
    return Presented(row.id, VoucherState(row.state), row.expires_at, row.used_at, promise_of(row))


def _use(row: Row[Any]) -> Use:
    return Use(
        id=row.id,
        till=Till(row.merchant, row.terminal),
        request_number=row.request_number,
        state=UseState(row.state),
        fingerprint=None if row.fingerprint is None else bytes(row.fingerprint),
        till_reference=row.till_reference,
        voucher_id=row.voucher_id,
        promise=None if row.voucher_id is None else promise_of(row),
        expires_at=row.expires_at,
        used_at=row.used_at,
        reversed_at=row.reversed_at,
        refusal=None if row.refusal is None else Refusal(row.refusal),
        refusal_facts=row.refusal_facts,
    )
