"""Returns' SQL. Whoever writes holds the redemption's lock."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.returns.domain import Kind, Return, ReturnLine, State
from services.redemption.returns.tables import return_lines, returns
from shared.sets import insert_rows

_SELECT = "SELECT id, redemption_id, kind, state, reason, actor, channel, requested_at, decided_at FROM returns"
_READ = text(f"{_SELECT} WHERE id = ANY(CAST(:ids AS uuid[]))")
_OF_REDEMPTION = text(f"{_SELECT} WHERE redemption_id = :redemption ORDER BY requested_at, id")
_REQUESTED = text(f"{_SELECT} WHERE redemption_id = ANY(CAST(:redemptions AS uuid[])) AND state = 'requested'")
_LINES = text(
    """
    SELECT return_id, redemption_id, number, quantity, points FROM return_lines
     WHERE return_id = ANY(CAST(:ids AS uuid[])) ORDER BY return_id, number
    """
)
_RETURNED = text(
    """
    SELECT redemption_id, number, CAST(sum(quantity) AS int) AS quantity FROM return_lines
     WHERE redemption_id = ANY(CAST(:redemptions AS uuid[])) GROUP BY redemption_id, number
    """
)
_DECIDE = text(
    """
    UPDATE returns r SET state = n.state, decided_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[])) AS n(id, state) WHERE r.id = n.id
    """
)
# A counter that has drifted is found by the check of the books; it does not hold anybody's points back.
_GIVE_LIMITS_BACK = text(
    """
    UPDATE limit_counters c SET taken = greatest(0, c.taken - n.quantity)
      FROM unnest(CAST(:customers AS uuid[]), CAST(:keys AS text[]), CAST(:quantities AS int[]))
           AS n(customer_id, limit_key, quantity)
     WHERE c.customer_id = n.customer_id AND c.limit_key = n.limit_key
    """
)


def _return(row: Any) -> Return:
    return Return(**{**row._mapping, "kind": Kind(row.kind), "state": State(row.state)})


async def insert(conn: AsyncConnection, new: Sequence[Return]) -> None:
    """New documents."""
    await insert_rows(conn, returns, [{**asdict(one), "kind": one.kind.value, "state": one.state.value} for one in new])


async def insert_lines(conn: AsyncConnection, new: Sequence[ReturnLine]) -> None:
    """What comes back, line by line."""
    await insert_rows(conn, return_lines, [asdict(line) for line in new])


async def decide(conn: AsyncConnection, decided: Mapping[UUID, State], now: datetime) -> None:
    """How the documents that were asked for ended."""
    if decided:
        values = {"ids": list(decided), "states": [state.value for state in decided.values()], "now": now}
        await conn.execute(_DECIDE, values)


async def read(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Return]:
    """Documents by their ids."""
    return {row.id: _return(row) for row in await conn.execute(_READ, {"ids": list(ids)})}


async def read_of_redemption(conn: AsyncConnection, redemption_id: UUID) -> list[Return]:
    """All documents of one redemption, in their order."""
    return [_return(row) for row in await conn.execute(_OF_REDEMPTION, {"redemption": redemption_id})]


async def read_requested(conn: AsyncConnection, redemption_ids: Sequence[UUID]) -> dict[UUID, Return]:
    """What is asked for and not decided, by redemption; there is at most one of each."""
    found = await conn.execute(_REQUESTED, {"redemptions": list(redemption_ids)})
    return {row.redemption_id: _return(row) for row in found}


async def read_lines(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, list[ReturnLine]]:
    """Lines by document."""
    lines: dict[UUID, list[ReturnLine]] = defaultdict(list)
    for row in await conn.execute(_LINES, {"ids": list(ids)}):
        lines[row.return_id].append(ReturnLine(*row))
    return lines


async def read_returned(conn: AsyncConnection, redemption_ids: Sequence[UUID]) -> dict[UUID, dict[int, int]]:
    """How many units of each line have come back, by redemption and line."""
    found: dict[UUID, dict[int, int]] = defaultdict(dict)
    for row in await conn.execute(_RETURNED, {"redemptions": list(redemption_ids)}):
        found[row.redemption_id][row.number] = row.quantity
    return found


async def give_limits_back(conn: AsyncConnection, quantities: Mapping[tuple[UUID, str], int]) -> None:
    """So many of a customer's limit may be taken again, by customer and key; their account is locked."""
    if quantities:
        values = {
            "customers": [customer for customer, _ in quantities],
            "keys": [key for _, key in quantities],
            "quantities": list(quantities.values()),
        }
        await conn.execute(_GIVE_LIMITS_BACK, values)
