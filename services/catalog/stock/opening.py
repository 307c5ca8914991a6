"""Bringing stock, quotas and budget lines to what a published version says, without touching what is taken already."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.campaigns.domain import (
    REWARD_COST_LINE,
    Batch,
    BatchNotInVersion,
    CeilingBelowTaken,
    Content,
    batch_id,
    offer_id,
)
from services.catalog.stock import store
from services.catalog.stock.store import Movement
from services.catalog.stock.tables import budget_lines, quotas, stock_batches
from shared.sets import insert_rows

_LOCK_BUDGET = text(
    """
    SELECT line, committed_minor + spent_minor AS taken FROM budget_lines WHERE campaign_code = :campaign
     ORDER BY line FOR NO KEY UPDATE
    """
)
_SET_BUDGET = text(
    """
    UPDATE budget_lines b SET ceiling_minor = d.ceiling
      FROM unnest(CAST(:lines AS text[]), CAST(:ceilings AS bigint[])) AS d(line, ceiling)
     WHERE b.campaign_code = :campaign AND b.line = d.line
    """
)
_SET_CEILINGS = text(
    """
    UPDATE quotas q SET total_ceiling = d.total, day_ceiling = d.day,
           day_taken = CASE WHEN q.day_on < :today THEN 0 ELSE q.day_taken END, day_on = greatest(q.day_on, :today)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:total AS bigint[]), CAST(:day AS bigint[])) AS d(id, total, day)
     WHERE q.offer_id = d.id
    """
)
_LOCK_STOCK = text(
    """
    SELECT id, code, reward_code, received, held + consumed AS taken FROM stock_batches WHERE campaign_code = :campaign
     ORDER BY id FOR NO KEY UPDATE
    """
)
_SET_STOCK = text(
    """
    UPDATE stock_batches b SET received = d.received, expires_on = d.expires_on
      FROM unnest(CAST(:ids AS uuid[]), CAST(:received AS bigint[]), CAST(:expires AS date[])) AS d(id, received, expires_on)
     WHERE b.id = d.id
    """
)


async def open_supply(conn: AsyncConnection, now: datetime, today: date, content: Content) -> None:
    """Make and change counters in the order of locks. Raises CeilingBelowTaken when more is taken than the version allows."""
    await _open_budget(conn, content)
    await _open_quotas(conn, today, content)
    await _open_stock(conn, now, content)


async def _open_budget(conn: AsyncConnection, content: Content) -> None:
    """The lines that the version names get its amounts as ceilings; the others have none. What is taken is always counted."""
    campaign = content.campaign.code
    ceilings: dict[str, int | None] = {line.line: line.amount_minor for line in content.budget}
    rows = [{"campaign_code": campaign, "line": line} for line in sorted({REWARD_COST_LINE, *ceilings})]
    await insert_rows(conn, budget_lines, rows, tail="ON CONFLICT DO NOTHING")
    taken = {row.line: row.taken for row in await conn.execute(_LOCK_BUDGET, {"campaign": campaign})}
    for line, used in taken.items():
        _require(ceilings.get(line), used, kind="budget", subject=line)
    values = {"lines": list(taken), "ceilings": [ceilings.get(line) for line in taken], "campaign": campaign}
    await conn.execute(_SET_BUDGET, values)


async def _open_quotas(conn: AsyncConnection, today: date, content: Content) -> None:
    found = {offer_id(content.campaign.code, offer.code): offer for offer in content.offers}
    rows = [{"offer_id": one, "day_on": today} for one in sorted(found)]
    await insert_rows(conn, quotas, rows, tail="ON CONFLICT DO NOTHING")
    for row in await store.lock_quotas(conn, found):
        offer = found[row["offer_id"]]
        _require(offer.quota.total, row["total_taken"], kind="quota_total", subject=offer.code)
        taken_today = row["day_taken"] if row["day_on"] >= today else 0
        _require(offer.quota.per_day, taken_today, kind="quota_per_day", subject=offer.code)
    values: dict[str, Any] = {
        "ids": list(found),
        "total": [offer.quota.total for offer in found.values()],
        "day": [offer.quota.per_day for offer in found.values()],
        "today": today,
    }
    await conn.execute(_SET_CEILINGS, values)


async def _open_stock(conn: AsyncConnection, now: datetime, content: Content) -> None:
    """A batch's quantity is everything that was ever received of it: a change of it is a movement (K7)."""
    campaign = content.campaign.code
    batches = {batch_id(campaign, batch.code): batch for batch in content.batches}
    rows = [_batch_row(campaign, one, batch) for one, batch in sorted(batches.items())]
    await insert_rows(conn, stock_batches, rows, tail="ON CONFLICT DO NOTHING")
    received: dict[UUID, int] = {}
    for row in await conn.execute(_LOCK_STOCK, {"campaign": campaign}):
        # Only what the version says may be for sale: two drafts loaded one after the other do not know of each other.
        if row.received and (row.id not in batches or batches[row.id].reward != row.reward_code):
            raise BatchNotInVersion(subject=row.code)
        if row.id in batches:
            _require(batches[row.id].quantity, row.taken, kind="stock", subject=row.code)
            received[row.id] = row.received
    await _set_stock(conn, batches)
    await store.record_movements(conn, now, _corrections(batches, received))


def _batch_row(campaign: str, one: UUID, batch: Batch) -> Mapping[str, object]:
    return {"id": one, "campaign_code": campaign, "code": batch.code, "reward_code": batch.reward, "received": 0}


async def _set_stock(conn: AsyncConnection, batches: Mapping[UUID, Batch]) -> None:
    values: dict[str, Any] = {
        "ids": list(batches),
        "received": [batch.quantity for batch in batches.values()],
        "expires": [batch.expires_on for batch in batches.values()],
    }
    await conn.execute(_SET_STOCK, values)


def _corrections(batches: Mapping[UUID, Batch], received: Mapping[UUID, int]) -> Sequence[Movement]:
    """The movements that lead from what was received to what the version says."""
    changes = {one: batch.quantity - received[one] for one, batch in batches.items()}
    return [Movement(one, "received" if change > 0 else "withdrawn", abs(change)) for one, change in changes.items() if change]


def _require(ceiling: int | None, taken: int, *, kind: str, subject: str) -> None:
    if ceiling is not None and taken > ceiling:
        raise CeilingBelowTaken(kind=kind, subject=subject, taken=taken)
