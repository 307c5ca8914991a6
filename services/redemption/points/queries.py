"""Reading the ledger: balance, what expires when, the balance of a past moment, the statement."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BALANCE = text(
    """
    SELECT a.id, a.state, a.state_until, a.posted, a.held,
           CAST(coalesce((SELECT sum(l.remaining - l.held) FROM lots l
                      WHERE l.account_id = a.id AND l.is_open AND l.expires_on >= :today), 0) AS bigint) AS available
      FROM accounts a WHERE a.customer_id = :customer
    """
)
_EXPIRING = text(
    """
    SELECT expires_on, CAST(sum(remaining - held) AS bigint) AS points FROM lots
     WHERE account_id = :account AND is_open AND expires_on BETWEEN :today AND :until AND remaining > held
     GROUP BY expires_on ORDER BY expires_on
    """
)
_LOTS = text(
    """
    SELECT expires_on, CAST(sum(remaining) AS bigint) AS points, CAST(sum(held) AS bigint) AS held FROM lots
     WHERE account_id = :account AND is_open AND expires_on >= :today AND remaining > 0
     GROUP BY expires_on ORDER BY expires_on LIMIT :most
    """
)
_AS_OF = text("SELECT balance_after FROM postings WHERE account_id = :account AND at <= :moment ORDER BY number DESC LIMIT 1")
_STATEMENT = text(
    """
    SELECT p.number, p.at, p.kind, CASE WHEN p.credit_account = p.account_id THEN p.points ELSE -p.points END AS points,
           p.balance_after, p.redemption_id, l.expires_on
      FROM postings p JOIN lots l ON l.id = p.lot_id
     WHERE p.account_id = :account AND (CAST(:before AS bigint) IS NULL OR p.number < CAST(:before AS bigint))
     ORDER BY p.number DESC LIMIT :most
    """
)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account at a glance. `posted` includes what is held and what has expired since the last expiry run."""

    account_id: UUID
    state: str
    state_until: datetime | None
    posted: int
    held: int
    available: int


@dataclass(frozen=True, slots=True)
class LotsOfDay:
    """All points of one last day; `held` of them are set aside for redemptions under way."""

    expires_on: date
    points: int
    held: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One posting as a customer reads it: points above zero came, below zero went."""

    number: int
    at: datetime
    kind: str
    points: int
    balance_after: int
    redemption_id: UUID | None
    expires_on: date


async def read_balance(conn: AsyncConnection, customer_id: UUID, today: date) -> Balance:
    """A customer's account now."""
    return Balance(*(await conn.execute(_BALANCE, {"customer": customer_id, "today": today})).one())


async def read_expiring(conn: AsyncConnection, account_id: UUID, *, today: date, until: date) -> list[tuple[date, int]]:
    """Free points by their last day, from today to a day."""
    found = await conn.execute(_EXPIRING, {"account": account_id, "today": today, "until": until})
    return [(row.expires_on, row.points) for row in found]


async def read_lots(conn: AsyncConnection, account_id: UUID, *, today: date, most: int) -> list[LotsOfDay]:
    """What is on the account by its last day, the first to expire first."""
    found = await conn.execute(_LOTS, {"account": account_id, "today": today, "most": most})
    return [LotsOfDay(*row) for row in found]


async def read_balance_as_of(conn: AsyncConnection, account_id: UUID, moment: datetime) -> int:
    """What was posted at a past moment (P3)."""
    row = (await conn.execute(_AS_OF, {"account": account_id, "moment": moment})).first()
    return 0 if row is None else int(row.balance_after)


async def read_statement(conn: AsyncConnection, account_id: UUID, *, before: int | None, most: int) -> list[StatementLine]:
    """Postings, the newest first."""
    found = await conn.execute(_STATEMENT, {"account": account_id, "before": before, "most": most})
    return [StatementLine(*row) for row in found]
