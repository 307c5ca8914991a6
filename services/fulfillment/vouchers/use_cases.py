"""What owners and staff do with vouchers: the wallet, one voucher, its code; and marking those whose time is over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.merchants import store as merchants
from services.fulfillment.vouchers import store
from services.fulfillment.vouchers.codes import CodeSafe
from services.fulfillment.vouchers.domain import Owner, Voucher, VoucherState, owner_of, require_showable, state_at
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint
from shared.identity import Principal
from shared.languages import Text
from shared.problems import NotFound
from shared.tasks import Claim, NewTask, Tasks

EXPIRED_AT_ONCE_MAX = 500
EXPIRY = "expire_vouchers"
RULE = Actor(name="rule:voucher-expiry", channel="worker", reason="validity over")


@dataclass(frozen=True, slots=True)
class Shown:
    """A voucher with the names of the merchants that accept it; those that are not known any more have none."""

    voucher: Voucher
    merchant_names: dict[str, Text]


class Wallet:
    """The use cases of vouchers."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, tasks: Tasks, safe: CodeSafe) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._tasks = tasks
        self._safe = safe

    async def list_own(self, owner: Owner, before: UUID | None, most: int) -> list[Shown]:
        """The owner's vouchers, newest first, behind `before`."""
        async with self._database.transaction() as conn:
            found = await store.page_of(conn, customer_id=None, owner=owner, before=before, most=most)
            return await self._shown(conn, found)

    async def list_of(self, customer_id: UUID, who: Principal, before: UUID | None, most: int) -> list[Shown]:
        """A customer's vouchers, newest first, behind `before`; a look of staff is on record.

        Raises NotFound when an owner has none as that customer: somebody else's wallet answers like an absent one.
        """
        owner = owner_of(who)
        async with self._database.transaction() as conn:
            if owner is not None and not await store.owns_any(conn, customer_id, owner):
                raise NotFound
            await self._audit.look(conn, self._clock, who, customer_id, "vouchers")
            found = await store.page_of(conn, customer_id=customer_id, owner=owner, before=before, most=most)
            return await self._shown(conn, found)

    async def show(self, voucher_id: UUID, who: Principal) -> Shown:
        """One voucher; a look of staff is on record. Raises NotFound when there is none or it is somebody else's."""
        async with self._database.transaction() as conn:
            voucher, customer_id, _ = await self._mine(conn, voucher_id, owner_of(who))
            await self._audit.look(conn, self._clock, who, customer_id, f"voucher:{voucher_id}")
            return (await self._shown(conn, [voucher]))[0]

    async def show_code(self, voucher_id: UUID, owner: Owner) -> str:
        """The code, for its owner alone. Raises NotFound, or VoucherNotShowable unless the voucher can be used."""
        async with self._database.transaction() as conn:
            voucher, _, sealed = await self._mine(conn, voucher_id, owner)
            now = await self._clock.now(conn)
        require_showable(state_at(voucher.state, voucher.expires_at, now))
        return self._safe.open(voucher_id, sealed)

    async def expire(self, claims: Sequence[Claim]) -> None:
        """Mark vouchers whose time is over, at most 500 in one commit; more are left to a task of their own."""
        async with self._database.transaction() as conn:
            held = await self._tasks.finish(conn, claims)
            if not held:
                return
            now = await self._clock.now(conn)
            expired = await store.expire_due(conn, now, EXPIRED_AT_ONCE_MAX)
            await self._audit.record(conn, now, [_expired(one) for one in expired])
            if len(expired) == EXPIRED_AT_ONCE_MAX:
                await self._tasks.add(conn, [NewTask(kind=EXPIRY, run_at=now, dedupe_key=EXPIRY)])
            await failpoint("expire.before_commit")

    async def _mine(self, conn: AsyncConnection, voucher_id: UUID, owner: Owner | None) -> tuple[Voucher, UUID, bytes]:
        found = await store.find(conn, voucher_id)
        if found is None or (owner is not None and found[1] != owner):
            raise NotFound
        return found[0], found[2], found[3]

    async def _shown(self, conn: AsyncConnection, found: Sequence[Voucher]) -> list[Shown]:
        """Vouchers in the state that holds now."""
        now = await self._clock.now(conn)
        names = await merchants.names_of(conn, {code for voucher in found for code in voucher.promise.merchants})
        return [
            Shown(_as_of(voucher, now), {code: names[code] for code in voucher.promise.merchants if code in names})
            for voucher in found
        ]


def _as_of(voucher: Voucher, now: datetime) -> Voucher:
    return replace(voucher, state=state_at(voucher.state, voucher.expires_at, now))


def _expired(voucher_id: UUID) -> Entry:
    return Entry(
        "voucher.expired",
        f"voucher:{voucher_id}",
        RULE,
        before={"state": VoucherState.ISSUED},
        after={"state": VoucherState.EXPIRED},
    )
