"""What can be done with accounts beside redeeming: expire what is past its day, and put an account into a state."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.parts import Parts
from services.redemption.points import store
from services.redemption.points.domain import AccountClosed, AccountState
from shared.audit import Actor, Entry
from shared.errors import FieldError
from shared.problems import InvalidInput
from shared.tasks import Again, Claim, NewTask

EXPIRY_ACCOUNTS_MAX = 500
FIRST = UUID(int=0)
EXPIRER = Actor("service:redemption", "worker", "the points' last day is over")


async def expire_claimed(parts: Parts, claims: Sequence[Claim]) -> Mapping[UUID, Again] | None:
    """The expiry run: one set of accounts a commit, then a task for the next set, until none is left (P2).

    The held part of a lot does not expire while it is held. Running it again finds nothing to do.
    """
    for claim in claims:
        after = UUID(claim.payload["after"]) if "after" in claim.payload else FIRST
        await parts.database.run(lambda conn, claim=claim, after=after: _expire_set(parts, conn, claim, after))  # type: ignore[misc]
    return None


async def _expire_set(parts: Parts, conn: AsyncConnection, claim: Claim, after: UUID) -> None:
    if not await parts.tasks.finish(conn, [claim]):
        return
    today = parts.day(await parts.clock.now(conn))
    due = await store.accounts_with_expired_lots(conn, today, after=after, most=EXPIRY_ACCOUNTS_MAX)
    books = await store.lock_books(conn, due)
    now = await parts.clock.now(conn)
    entries = []
    for book in books.values():
        expired = book.expire(now, today)
        if expired:
            entries.append(Entry("points.expired", f"account:{book.account_id}", EXPIRER, after={"points": expired}))
    await store.save_books(conn, books.values())
    await parts.audit.record(conn, now, entries)
    if len(due) == EXPIRY_ACCOUNTS_MAX:
        last = str(due[-1])
        await parts.tasks.add(conn, [NewTask(kind="expire", payload={"after": last}, run_at=now, dedupe_key=last)])


async def set_account_state(
    parts: Parts, conn: AsyncConnection, account_id: UUID, *, state: AccountState, until: datetime | None, actor: Actor
) -> None:
    """Let an account do more or less from now on (P6); the actor's reason is kept.

    Raises AccountClosed, or InvalidInput for an end that has passed or that the state cannot have.
    """
    book = (await store.lock_books(conn, [account_id]))[account_id]
    now = await parts.clock.now(conn)
    if book.state is AccountState.CLOSED and state is not AccountState.CLOSED:
        raise AccountClosed
    if until is not None and (until <= now or state in (AccountState.ACTIVE, AccountState.CLOSED)):
        raise InvalidInput(FieldError("until", "not-allowed"))
    reason = None if state is AccountState.ACTIVE else actor.reason
    await store.set_account_state(conn, account_id, state=state, reason=reason, by=actor.name, until=until)
    before, after = {"state": book.state.value}, {"state": state.value, "until": until}
    await parts.audit.record(conn, now, [Entry("account.state_set", f"account:{account_id}", actor, before, after)])
