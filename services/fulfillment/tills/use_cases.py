"""What a till asks for. Uses and reversals come as sets: take numbers, lock, decide in plain Python, write net changes once.

The order of locks: uses by their numbers, then vouchers by id. All of it is safe to repeat.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
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
    tombstone,
)
from services.fulfillment.vouchers import store as vouchers
from services.fulfillment.vouchers.domain import VoucherState, state_at
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database
from shared.errors import DomainError
from shared.failpoints import failpoint

R = TypeVar("R", UseRequest, ReversalRequest)


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
        async with self._database.transaction() as conn:
            decision = await self._use(conn, requests)
            await failpoint("use.before_commit")
        await failpoint("use.after_commit")
        return decision.outcomes

    async def reverse(self, requests: Sequence[ReversalRequest]) -> list[Outcome | DomainError]:
        """Reverse uses; one that has not come yet never will (G15). Answers one outcome a request, in order."""
        async with self._database.transaction() as conn:
            decision = await self._reverse(conn, requests)
            await failpoint("reverse.before_commit")
        await failpoint("reverse.after_commit")
        return decision.outcomes

    async def _use(self, conn: AsyncConnection, requests: Sequence[UseRequest]) -> UseDecision:
        asked_at = await self._clock.now(conn)
        admitted = await merchants.admitted(conn, [r.till for r in requests], bank_day(asked_at, self._timezone))
        first = _first_by_key([request for request in requests if request.till in admitted])
        fresh = await store.take_numbers(conn, asked_at, list(first.values()))
        others = {request.key for request in requests} - fresh
        known = await store.uses_by_key(conn, others) if others else {}
        presented = await store.lock_presented(conn, [first[key].code_hmac for key in fresh]) if fresh else {}
        now = await self._clock.now(conn)
        taken = [voucher.id for voucher in presented.values() if voucher.state is VoucherState.USED]
        live = await store.live_uses_of(conn, taken) if taken else {}
        decision = decide_uses(requests, known=known, admitted=admitted, presented=presented, live=live, now=now)
        await self._write_uses(conn, now, decision)
        return decision

    async def _write_uses(self, conn: AsyncConnection, now: datetime, decision: UseDecision) -> None:
        if not decision.new:
            return
        winners = [use.voucher_id for _, use in decision.new if use.voucher_id is not None]
        if winners and await vouchers.mark_used(conn, now, winners) != len(winners):
            raise RuntimeError("a locked voucher was not as it was read")
        if await store.decide(conn, [use for _, use in decision.new]) != len(decision.new):
            raise RuntimeError("a number that was taken is gone")
        await self._audit.record(conn, now, [entry for request, use in decision.new for entry in _asked(request.actor, use)])

    async def _reverse(self, conn: AsyncConnection, requests: Sequence[ReversalRequest]) -> ReversalDecision:
        asked_at = await self._clock.now(conn)
        tombstones = {key: tombstone(request, asked_at) for key, request in _first_by_key(requests).items()}
        fresh = await store.leave_tombstones(conn, asked_at, list(tombstones.values()))
        others = tombstones.keys() - fresh
        locked = await self._lock_with_vouchers(conn, others) if others else {}
        now = await self._clock.now(conn)
        decision = decide_reversals(requests, tombstones=tombstones, locked=locked, now=now, window=self._window)
        await self._write_reversals(conn, now, [use for _, use in decision.reversed if use.key in others])
        await self._audit.record(
            conn, now, [entry for request, use in decision.reversed for entry in _taken_back(request.actor, use)]
        )
        return decision

    async def _lock_with_vouchers(self, conn: AsyncConnection, keys: Collection[UseKey]) -> dict[UseKey, Use]:
        """Lock the uses under these numbers, then the vouchers that they hold."""
        await store.lock_uses(conn, keys)
        found = await store.uses_by_key(conn, keys)
        held = [use.voucher_id for use in found.values() if use.voucher_id is not None and use.state is UseState.LIVE]
        if held:
            await store.lock_vouchers(conn, held)
        return found

    async def _write_reversals(self, conn: AsyncConnection, now: datetime, changed: Sequence[Use]) -> None:
        if changed and await store.mark_reversed(conn, now, [use.id for use in changed]) != len(changed):
            raise RuntimeError("a locked use was not as it was read")
        back = [use.voucher_id for use in changed if use.voucher_id is not None]
        if back and await vouchers.mark_issued_again(conn, now, back) != len(back):
            raise RuntimeError("a locked voucher was not as it was read")


def _first_by_key(requests: Sequence[R]) -> dict[UseKey, R]:
    """The first request under each number: the one that counts."""
    first: dict[UseKey, R] = {}
    for request in requests:
        first.setdefault(request.key, request)
    return first


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
