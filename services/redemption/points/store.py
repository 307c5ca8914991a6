"""The ledger's SQL: books are read under their accounts' locks and written back as sets."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.points.domain import AccountState, Book, Hold, Lot, Posting, Spent
from services.redemption.points.tables import accounts, holds, lots
from shared.sets import insert_rows
from shared.statements import execute, fetch

POSTING_COLUMNS = tuple(field.name for field in fields(Posting))
HOLD_COLUMNS = tuple(field.name for field in fields(Hold))

_LOCK = """
    SELECT id, customer_id, state, state_until, posted, held, postings_count, last_posting_at
      FROM accounts WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
"""
_LOCK_WAITING, _LOCK_SKIPPING = text(_LOCK), text(_LOCK + " SKIP LOCKED")
_OPEN_LOTS = text(
    """
    SELECT account_id, id, expires_on, earned_at, source, source_ref, original, remaining, held
      FROM lots WHERE is_open AND account_id = ANY(CAST(:ids AS uuid[]))
    """
)
_HOLDS = text(
    """
    SELECT redemption_id, lot_id, account_id, points FROM holds
     WHERE redemption_id = ANY(CAST(:ids AS uuid[])) AND state = 'held' ORDER BY redemption_id, lot_id
    """
)
_SPENT = text(
    """
    SELECT redemption_id, lot_id, account_id, points, refunded FROM holds
     WHERE redemption_id = ANY(CAST(:ids AS uuid[])) AND state = 'posted' ORDER BY redemption_id, lot_id
    """
)
_LOTS = text(
    """
    SELECT account_id, id, expires_on, earned_at, source, source_ref, original, remaining, held
      FROM lots WHERE id = ANY(CAST(:ids AS uuid[]))
    """
)
_SAVE_SPENT = text(
    """
    UPDATE holds h SET refunded = n.refunded
      FROM unnest(CAST(:redemptions AS uuid[]), CAST(:lots AS uuid[]), CAST(:refunded AS bigint[]))
           AS n(redemption_id, lot_id, refunded)
     WHERE h.redemption_id = n.redemption_id AND h.lot_id = n.lot_id
    """
)
_END_HOLDS = text("UPDATE holds SET state = :state WHERE redemption_id = ANY(CAST(:ids AS uuid[])) AND state = 'held'")
_SAVE_ACCOUNTS = text(
    """
    UPDATE accounts a SET posted = n.posted, held = n.held, postings_count = n.count, last_posting_at = n.at
      FROM unnest(CAST(:ids AS uuid[]), CAST(:posted AS bigint[]), CAST(:held AS bigint[]), CAST(:counts AS bigint[]),
                  CAST(:ats AS timestamptz[])) AS n(id, posted, held, count, at)
     WHERE a.id = n.id
    """
)
_SAVE_LOTS = text(
    """
    UPDATE lots l SET remaining = n.remaining, held = n.held, is_open = (n.remaining > 0)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:remaining AS bigint[]), CAST(:held AS bigint[])) AS n(id, remaining, held)
     WHERE l.id = n.id
    """
)
POSTING_HASH = """
    sha256(convert_to(concat_ws('|', account_id, number, extract(epoch FROM at) * 1000000, kind, debit_account, credit_account,
        points, lot_id, coalesce(CAST(redemption_id AS text), ''), reason, balance_after,
        coalesce(CAST(corrects_number AS text), '')), 'UTF8'))
"""
"""What a posting's hash is made of: written when it is inserted, worked out again by the check of the books."""
_INSERT_POSTINGS = text(
    f"""
    INSERT INTO postings (account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id,
                          reason, balance_after, hash)
    SELECT account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id, reason, balance_after,
           {POSTING_HASH}
      FROM unnest(CAST(:account_id AS uuid[]), CAST(:number AS bigint[]), CAST(:at AS timestamptz[]), CAST(:kind AS text[]),
                  CAST(:debit_account AS uuid[]), CAST(:credit_account AS uuid[]), CAST(:points AS bigint[]),
                  CAST(:lot_id AS uuid[]), CAST(:redemption_id AS uuid[]), CAST(:reason AS text[]),
                  CAST(:balance_after AS bigint[]))
           AS n(account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id, reason,
                balance_after),
           (SELECT CAST(NULL AS bigint)) AS none(corrects_number)
    """
)
_DUE_ACCOUNTS = text(
    """
    SELECT DISTINCT account_id FROM lots
     WHERE is_open AND expires_on < :today AND remaining > held AND account_id > :after ORDER BY account_id LIMIT :most
    """
)


async def lock_books(conn: AsyncConnection, account_ids: Iterable[UUID], *, wait: bool = True) -> dict[UUID, Book]:
    """Lock accounts in the order of their ids and read their books. Without `wait`, those locked elsewhere are left out.

    Lots are read by a second statement, after the locks are held: read in one go they would be as old as the wait.
    """
    ids = sorted(set(account_ids))
    if not ids:
        return {}
    rows = await fetch(conn, _LOCK_WAITING if wait else _LOCK_SKIPPING, {"ids": ids})
    of_account: dict[UUID, list[Lot]] = defaultdict(list)
    for account_id, *values in await fetch(conn, _OPEN_LOTS, {"ids": [row.id for row in rows]}):
        of_account[account_id].append(Lot(*values))
    return {
        row.id: Book(
            account_id=row.id,
            customer_id=row.customer_id,
            state=AccountState(row.state),
            state_until=row.state_until,
            posted=row.posted,
            held=row.held,
            postings_count=row.postings_count,
            last_posting_at=row.last_posting_at,
            lots=of_account[row.id],
        )
        for row in rows
    }


async def save_books(conn: AsyncConnection, books: Iterable[Book]) -> None:
    """Write what changed, once: new lots, net changes of lots and accounts, postings."""
    changed = sorted((book for book in books if book.is_changed), key=lambda book: book.account_id)
    if not changed:
        return
    await _save_lots(conn, changed)
    await execute(
        conn,
        _SAVE_ACCOUNTS,
        {
            "ids": [book.account_id for book in changed],
            "posted": [book.posted for book in changed],
            "held": [book.held for book in changed],
            "counts": [book.postings_count for book in changed],
            "ats": [book.last_posting_at for book in changed],
        },
    )
    await _insert_postings(conn, [posting for book in changed for posting in book.new_postings])
    for book in changed:
        book.new_postings.clear()
        book.is_changed = False


async def _save_lots(conn: AsyncConnection, changed: Sequence[Book]) -> None:
    new = [(book.account_id, lot) for book in changed for lot in book.lots if lot.is_new]
    old = sorted((lot for book in changed for lot in book.lots if lot.is_changed and not lot.is_new), key=lambda lot: lot.id)
    if old:
        await execute(
            conn,
            _SAVE_LOTS,
            {
                "ids": [lot.id for lot in old],
                "remaining": [lot.remaining for lot in old],
                "held": [lot.held for lot in old],
            },
        )
    await insert_rows(
        conn,
        lots,
        [
            {
                "id": lot.id,
                "account_id": account_id,
                "expires_on": lot.expires_on,
                "earned_at": lot.earned_at,
                "source": lot.source,
                "source_ref": lot.source_ref,
                "original": lot.original,
                "remaining": lot.remaining,
                "held": lot.held,
                "is_open": lot.remaining > 0,
            }
            for account_id, lot in new
        ],
    )
    for _, lot in new:
        lot.is_new = False


async def _insert_postings(conn: AsyncConnection, new: Sequence[Posting]) -> None:
    if new:
        await execute(conn, _INSERT_POSTINGS, {name: [getattr(posting, name) for posting in new] for name in POSTING_COLUMNS})


async def insert_holds(conn: AsyncConnection, new: Sequence[Hold]) -> None:
    """Write which lots a redemption holds."""
    await insert_rows(conn, holds, [{name: getattr(hold, name) for name in HOLD_COLUMNS} for hold in new])


async def read_holds(conn: AsyncConnection, redemption_ids: Sequence[UUID]) -> dict[UUID, list[Hold]]:
    """The points that redemptions hold, by redemption."""
    found: dict[UUID, list[Hold]] = defaultdict(list)
    for row in await fetch(conn, _HOLDS, {"ids": list(redemption_ids)}):
        found[row.redemption_id].append(Hold(*row))
    return found


async def end_holds(conn: AsyncConnection, redemption_ids: Sequence[UUID], state: str) -> None:
    """Holds end once: posted or released."""
    if redemption_ids:
        await execute(conn, _END_HOLDS, {"ids": list(redemption_ids), "state": state})


async def read_spent(
    conn: AsyncConnection, books: Mapping[UUID, Book], redemption_ids: Sequence[UUID]
) -> dict[UUID, list[Spent]]:
    """What redemptions spent of which lots; the lots that are used up are added to the books, since they may open again.

    The books' accounts are locked, so nothing of this changes under the reader.
    """
    found: dict[UUID, list[Spent]] = defaultdict(list)
    for row in await conn.execute(_SPENT, {"ids": list(redemption_ids)}):
        found[row.redemption_id].append(Spent(*row))
    known = {lot.id for book in books.values() for lot in book.lots}
    closed = {one.lot_id for spent in found.values() for one in spent} - known
    if closed:
        for account_id, *values in await conn.execute(_LOTS, {"ids": sorted(closed)}):
            books[account_id].lots.append(Lot(*values))
    return found


async def save_spent(conn: AsyncConnection, changed: Sequence[Spent]) -> None:
    """Write how much of what was spent was given back."""
    if changed:
        values = {
            "redemptions": [one.redemption_id for one in changed],
            "lots": [one.lot_id for one in changed],
            "refunded": [one.refunded for one in changed],
        }
        await conn.execute(_SAVE_SPENT, values)


async def accounts_with_expired_lots(conn: AsyncConnection, today: date, *, after: UUID, most: int) -> list[UUID]:
    """Accounts that have something to expire, in the order of their ids."""
    found = await conn.execute(_DUE_ACCOUNTS, {"today": today, "after": after, "most": most})
    return list(found.scalars())


async def open_accounts(conn: AsyncConnection, rows: Sequence[tuple[UUID, UUID]]) -> None:
    """An empty account for each (account id, customer id)."""
    await insert_rows(conn, accounts, [{"id": account, "customer_id": customer} for account, customer in rows])


async def set_account_state(
    conn: AsyncConnection, account_id: UUID, *, state: AccountState, reason: str | None, by: str, until: datetime | None
) -> None:
    """Write who put the account into a state, why, and until when."""
    values = {"id": account_id, "state": state.value, "reason": reason, "by": by, "until": until}
    await conn.execute(
        text(
            "UPDATE accounts SET state = :state, state_reason = :reason, state_by = :by, "
            "state_until = CAST(:until AS timestamptz) WHERE id = :id"
        ),
        values,
    )
