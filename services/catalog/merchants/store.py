"""SQL of merchants and terminals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.merchants.domain import Merchant, Terminal
from services.catalog.merchants.tables import merchants, terminals
from shared.sets import insert_rows

_UPSERT_MERCHANTS = """
    ON CONFLICT (code) DO UPDATE SET names = excluded.names, category_code = excluded.category_code,
        address = excluded.address, accepts_vouchers = excluded.accepts_vouchers, accepts_spend = excluded.accepts_spend,
        contract_from = excluded.contract_from, contract_until = excluded.contract_until, changed_at = excluded.changed_at
"""
_UPSERT_TERMINALS = "ON CONFLICT (merchant_code, code) DO UPDATE SET location = excluded.location"
_DROP_TERMINALS = text(
    """
    DELETE FROM terminals t WHERE t.merchant_code = ANY(CAST(:merchants AS text[]))
       AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:holders AS text[]), CAST(:codes AS text[])) AS kept(merchant, code)
                        WHERE kept.merchant = t.merchant_code AND kept.code = t.code)
    """
)
_ALL = text(
    """
    SELECT m.code, m.names, m.category_code, m.address, m.accepts_vouchers, m.accepts_spend, m.contract_from,
           m.contract_until,
           coalesce((SELECT jsonb_agg(jsonb_build_object('code', t.code, 'location', t.location) ORDER BY t.code)
                       FROM terminals t WHERE t.merchant_code = m.code), CAST('[]' AS jsonb)) AS terminals
      FROM merchants m ORDER BY m.code
    """
)


async def put_merchants(conn: AsyncConnection, now: datetime, found: Sequence[Merchant], tills: Sequence[Terminal]) -> None:
    """Bring the records of these merchants, and their terminals, to what is said here; other merchants stay as they are."""
    rows = [
        {
            "code": merchant.code,
            "names": dict(merchant.names),
            "category_code": merchant.category_code,
            "address": dict(merchant.address),
            "accepts_vouchers": merchant.accepts_vouchers,
            "accepts_spend": merchant.accepts_spend,
            "contract_from": merchant.contract_from,
            "contract_until": merchant.contract_until,
            "changed_at": now,
        }
        for merchant in sorted(found, key=lambda merchant: merchant.code)
    ]
    await insert_rows(conn, merchants, rows, tail=_UPSERT_MERCHANTS)
    kept = sorted(tills, key=lambda till: (till.merchant, till.code))
    values = {
        "merchants": [merchant.code for merchant in found],
        "holders": [till.merchant for till in kept],
        "codes": [till.code for till in kept],
    }
    await conn.execute(_DROP_TERMINALS, values)
    till_rows = [{"merchant_code": till.merchant, "code": till.code, "location": till.location} for till in kept]
    await insert_rows(conn, terminals, till_rows, tail=_UPSERT_TERMINALS)


async def all_merchants(conn: AsyncConnection) -> list[Mapping[str, Any]]:
    """Every merchant with its terminals, by code."""
    return [dict(row) for row in (await conn.execute(_ALL)).mappings()]
