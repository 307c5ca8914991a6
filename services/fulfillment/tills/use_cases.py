"""What a till asks for. Uses and reversals come as sets: lock, read, decide in plain Python, write net changes once.

The order of locks: vouchers by id, then uses by their numbers. A number that somebody else took meanwhile undoes the whole
set, which then runs again and finds it. All of it is safe to repeat.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.merchants import store as merchants
from services.fulfillment.merchants.domain import Till, TillNotAdmitted
from services.fulfillment.tills import store
from services.fulfillment.tills.deciding import ReversalDecision, UseDecision, decide_reversals, decide_uses
from services.fulfillment.tills.domain import (
    Outcome,
    Presented,
    Refusal,
    ReversalRequest,
    Use,
    UseKey,
    UseNotFound,
    UseRequest,
    UseState,
    VoucherNotFound,
)
from services.fulfillment.vouchers import store as vouchers
from services.fulfillment.vouchers.domain import VoucherState, state_at
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database, Overloaded
from shared.errors import DomainError
from shared.failpoints import failpoint

RUNS_MAX = 5

D = TypeVar("D")


class _NumberTaken(Exception):
    """Another transaction wrote one of our numbers first."""


class Tills:
    """The use cases of tills."""

    def __init__(
        self, database: Database, clock: Clock, audit: Audit, *, timezone: ZoneInfo, reversal_window: timedelta
    ) -> None:
        """Contracts of merchants are judged by days of `timezone`, the bank's."""
        self._database = database
        self._clock = clock
        self._audit = audit
        self._timezone = timezone
        self._window = reversal_window

    async def verify(self, till: Till, code_hmac: bytes) -> tuple[Presented, VoucherState]:
        """The voucher and the state that holds now; changes nothing (F5).

        Raises TillNotAdmitted, or VoucherNotFound in the same way for every voucher that is none of this merchant's business.
        """
        async with self._database.transaction() as conn:
            now = await self._clock.now(conn)
            admitted = await merchants.admitted(conn, [till], bank_day(now, self._timezone))
            voucher = await store.find_presented(conn, code_hmac)
        if not admitted:
            raise TillNotAdmitted
        if voucher is None or voucher.refusal_for(till.merchant, now) is Refusal.UNKNOWN:
            raise VoucherNotFound
        return voucher, state_at(voucher.state, voucher.expires_at, now)

    async def find(self, key: UseKey) -> Use:
        """How a request ended, for the terminal that sent it. Raises UseNotFound."""
        async with self._database.transaction() as conn:
            found = await store.uses_by_key(conn, [key])
        if key not in found:
            raise UseNotFound
        return found[key]

    async def use(self, requests: Sequence[UseRequest]) -> list[Outcome | DomainError]:
        """Use vouchers, each once, whatever the repeats and races (G14, G15). Answers one outcome a request, in order."""
        decision = await self._until_numbers_stand(lambda conn: self._use(conn, requests), "use")
        return decision.outcomes

    async def reverse(self, requests: Sequence[ReversalRequest]) -> list[Outcome | DomainError]:
        """Reverse uses; one that has not come yet never will (G15). Answers one outcome a request, in order."""
        decision = await self._until_numbers_stand(lambda conn: self._reverse(conn, requests), "reverse")
        return decision.outcomes

    async def _until_numbers_stand(self, work: Callable[[AsyncConnection], Awaitable[D]], name: str) -> D:
        for _ in range(RUNS_MAX):
            try:
                async with self._database.transaction() as conn:
                    decision = await work(conn)
                    await failpoint(f"{name}.before_commit")
            except _NumberTaken:
                continue
            await failpoint(f"{name}.after_commit")
            return decision
        raise Overloaded

    async def _use(self, conn: AsyncConnection, requests: Sequence[UseRequest]) -> UseDecision:
        presented = await store.lock_presented(conn, [request.code_hmac for request in requests])
        now = await self._clock.now(conn)
        taken = [voucher.id for voucher in presented.values() if voucher.state is VoucherState.USED]
        decision = decide_uses(
            requests,
            known=await store.uses_by_key(conn, [request.key for request in requests]),
            admitted=await merchants.admitted(conn, [r.till for r in requests], bank_day(now, self._timezone)),
            presented=presented,
            live=await store.live_uses_of(conn, taken) if taken else {},
            now=now,
        )
        if not decision.new:
            return decision
        if await store.insert_uses(conn, now, [use for _, use in decision.new]) != len(decision.new):
            raise _NumberTaken
        winners = [use.voucher_id for _, use in decision.new if use.voucher_id is not None]
        if winners and await vouchers.mark_used(conn, now, winners) != len(winners):
            raise RuntimeError("a locked voucher was not as it was read")
        await self._audit.record(conn, now, [entry for request, use in decision.new for entry in _asked(request.actor, use)])
        return decision

    async def _reverse(self, conn: AsyncConnection, requests: Sequence[ReversalRequest]) -> ReversalDecision:
        keys = [request.key for request in requests]
        glimpsed = await store.uses_by_key(conn, keys)
        if glimpsed:  # a use never changes its voucher, so that what to lock can be read without a lock
            await store.lock_vouchers(conn, [use.voucher_id for use in glimpsed.values() if use.voucher_id is not None])
            await store.lock_uses(conn, [use.id for use in glimpsed.values()])
        now = await self._clock.now(conn)
        locked = {key: use for key, use in (await store.uses_by_key(conn, keys)).items() if key in glimpsed} if glimpsed else {}
        decision = decide_reversals(requests, locked=locked, now=now, window=self._window)
        tombstones = [use for _, use in decision.tombstones]
        if tombstones and await store.insert_uses(conn, now, tombstones) != len(tombstones):
            raise _NumberTaken
        changed = [use for _, use in decision.reversed]
        if changed and await store.mark_reversed(conn, now, [use.id for use in changed]) != len(changed):
            raise RuntimeError("a locked use was not as it was read")
        back = [use.voucher_id for use in changed if use.voucher_id is not None]
        if back and await vouchers.mark_issued_again(conn, now, back) != len(back):
            raise RuntimeError("a locked voucher was not as it was read")
        written = [*decision.tombstones, *decision.reversed]
        await self._audit.record(conn, now, [entry for request, use in written for entry in _taken_back(request.actor, use)])
        return decision


def _asked(actor: Actor, use: Use) -> list[Entry]:
    """The audit rows of a new use: the attempt, and what it did to the voucher."""
    facts = {"state": use.state, "merchant": use.till.merchant, "terminal": use.till.terminal, "number": use.request_number}
    if use.voucher_id is None:
        return [Entry("use.refused", f"use:{use.id}", actor, after={**facts, "refusal": use.refusal})]
    moved = {"state": VoucherState.USED, "use": use.id, "merchant": use.till.merchant, "terminal": use.till.terminal}
    return [
        Entry("use.made", f"use:{use.id}", actor, after={**facts, "voucher": use.voucher_id}),
        Entry("voucher.used", f"voucher:{use.voucher_id}", actor, before={"state": VoucherState.ISSUED}, after=moved),
    ]


def _taken_back(actor: Actor, use: Use) -> list[Entry]:
    """The audit rows of a reversal: the use, and what it did to the voucher."""
    before = None if use.fingerprint is None else {"state": UseState.REFUSED if use.refusal else UseState.LIVE}
    facts = {"state": use.state, "merchant": use.till.merchant, "terminal": use.till.terminal, "number": use.request_number}
    entries = [Entry("use.reversed", f"use:{use.id}", actor, before=before, after=facts)]
    if use.voucher_id is not None:
        moved = {"state": VoucherState.ISSUED, "use": use.id}
        entries.append(
            Entry("voucher.use_reversed", f"voucher:{use.voucher_id}", actor, before={"state": VoucherState.USED}, after=moved)
        )
    return entries
