"""SQL of stock, quotas and budget lines: locking them in one order, and writing net changes once a transaction.

The order of locks everywhere: reservation headers by id, budget lines, quotas, stock batches, each by its key.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.campaigns.domain import REWARD_COST_LINE
from services.catalog.stock.tables import stock_movements
from shared.sets import insert_rows
from shared.statements import execute, fetch_named

_LOCK_BUDGETS = text(
    """
    SELECT campaign_code, ceiling_minor - committed_minor - spent_minor AS left_minor FROM budget_lines
     WHERE line = :line AND campaign_code = ANY(CAST(:campaigns AS text[]))
     ORDER BY campaign_code FOR NO KEY UPDATE
    """
)
_LOCK_QUOTAS = text(
    """
    SELECT offer_id, total_ceiling, total_taken, day_ceiling, day_taken, day_on FROM quotas
     WHERE offer_id = ANY(CAST(:offers AS uuid[]))
     ORDER BY offer_id FOR NO KEY UPDATE
    """
)
# A batch that is wholly handed out is left alone: nothing of it can be taken any more.
_LOCK_BATCHES_OF_OFFERS = text(
    """
    SELECT b.id, b.campaign_code, b.reward_code, b.expires_on, b.received - b.held - b.consumed AS free
      FROM stock_batches b
     WHERE (b.campaign_code, b.reward_code) IN
           (SELECT o.campaign_code, o.reward_code FROM offers o WHERE o.id = ANY(CAST(:offers AS uuid[])))
       AND b.consumed < b.received
     ORDER BY b.id FOR NO KEY UPDATE OF b
    """
)
_LOCK_BATCHES = text("SELECT id FROM stock_batches WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_CHANGE_BATCHES = text(
    """
    UPDATE stock_batches b SET held = b.held + d.held, consumed = b.consumed + d.consumed
      FROM unnest(CAST(:ids AS uuid[]), CAST(:held AS bigint[]), CAST(:consumed AS bigint[])) AS d(id, held, consumed)
     WHERE b.id = d.id
    """
)
_SET_QUOTAS = text(
    """
    UPDATE quotas q SET total_taken = d.total, day_taken = d.day, day_on = d.day_on
      FROM unnest(CAST(:ids AS uuid[]), CAST(:total AS bigint[]), CAST(:day AS bigint[]), CAST(:day_on AS date[]))
           AS d(id, total, day, day_on)
     WHERE q.offer_id = d.id
    """
)
_CHANGE_BUDGETS = text(
    """
    UPDATE budget_lines b SET committed_minor = b.committed_minor + d.committed, spent_minor = b.spent_minor + d.spent
      FROM unnest(CAST(:campaigns AS text[]), CAST(:committed AS bigint[]), CAST(:spent AS bigint[]))
           AS d(campaign, committed, spent)
     WHERE b.campaign_code = d.campaign AND b.line = :line
    """
)


@dataclass(frozen=True, slots=True)
class Movement:
    """Units of a batch that moved, for which line of which reservation, and by which return document.

    Kinds: `received`, `withdrawn`; `held`, `released`, `consumed` by a reservation; `given_back` before it was handed out,
    `returned` after it, `lost` before the handing out was known (held no longer, and gone).
    """

    batch_id: UUID
    kind: str
    quantity: int
    reservation_id: UUID | None = None
    line: int | None = None
    return_id: UUID | None = None


async def lock_budgets(conn: AsyncConnection, campaigns: Iterable[str]) -> Sequence[Mapping[str, Any]]:
    """Lock the lines that pay for rewards; what is left of each (NULL: no ceiling)."""
    return await fetch_named(conn, _LOCK_BUDGETS, {"campaigns": sorted(campaigns), "line": REWARD_COST_LINE})


async def lock_quotas(conn: AsyncConnection, offers: Iterable[UUID]) -> Sequence[Mapping[str, Any]]:
    """Lock the quotas of offers and read them."""
    return await fetch_named(conn, _LOCK_QUOTAS, {"offers": list(offers)})


async def lock_batches_of_offers(conn: AsyncConnection, offers: Iterable[UUID]) -> Sequence[Mapping[str, Any]]:
    """Lock every batch from which the offers can draw, and read what is free."""
    return await fetch_named(conn, _LOCK_BATCHES_OF_OFFERS, {"offers": list(offers)})


async def lock_batches(conn: AsyncConnection, ids: Iterable[UUID]) -> None:
    """Lock batches by id."""
    await execute(conn, _LOCK_BATCHES, {"ids": list(ids)})


async def change_batches(conn: AsyncConnection, changes: Mapping[UUID, tuple[int, int]]) -> None:
    """Add to the counters (held, consumed) of locked batches."""
    if changes:
        held, consumed = zip(*changes.values(), strict=True)
        await execute(conn, _CHANGE_BATCHES, {"ids": list(changes), "held": list(held), "consumed": list(consumed)})


async def set_quotas(conn: AsyncConnection, counters: Mapping[UUID, tuple[int, int, date]]) -> None:
    """Write (total taken, day taken, day) of locked quotas."""
    if counters:
        total, day, day_on = zip(*counters.values(), strict=True)
        values: dict[str, Any] = {"ids": list(counters), "total": list(total), "day": list(day), "day_on": list(day_on)}
        await execute(conn, _SET_QUOTAS, values)


async def change_budgets(conn: AsyncConnection, changes: Mapping[str, tuple[int, int]]) -> None:
    """Add to (committed, spent) of the locked lines that pay for rewards, by campaign."""
    if changes:
        committed, spent = zip(*changes.values(), strict=True)
        values = {"campaigns": list(changes), "committed": list(committed), "spent": list(spent)}
        await execute(conn, _CHANGE_BUDGETS, {**values, "line": REWARD_COST_LINE})


async def record_movements(conn: AsyncConnection, now: datetime, movements: Iterable[Movement]) -> None:
    """Write down what moved; the batch's counters follow in the same transaction (K7)."""
    rows = [
        {
            "batch_id": movement.batch_id,
            "kind": movement.kind,
            "quantity": movement.quantity,
            "reservation_id": movement.reservation_id,
            "line": movement.line,
            "return_id": movement.return_id,
            "at": now,
        }
        for movement in movements
    ]
    await insert_rows(conn, stock_movements, rows)
