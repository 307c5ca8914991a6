"""Deciding a set of requests in the order of their arrival, in plain Python: what each gets, and what is to be written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.fulfillment.merchants.domain import Till, TillNotAdmitted
from services.fulfillment.tills.domain import (
    Outcome,
    Presented,
    Refusal,
    ReversalRequest,
    Use,
    UseKey,
    UseRequest,
    UseState,
    refused,
    replayed_use,
    require_in_window,
    used,
)
from services.fulfillment.vouchers.domain import VoucherState
from shared.errors import DomainError


@dataclass
class UseDecision:
    """What a set of use requests comes to."""

    outcomes: list[Outcome | DomainError] = field(default_factory=list)
    new: list[tuple[UseRequest, Use]] = field(default_factory=list)


@dataclass
class ReversalDecision:
    """What a set of reversals comes to. `reversed` holds the tombstones too."""

    outcomes: list[Outcome | DomainError] = field(default_factory=list)
    reversed: list[tuple[ReversalRequest, Use]] = field(default_factory=list)


def decide_uses(
    requests: Sequence[UseRequest],
    *,
    known: Mapping[UseKey, Use],
    admitted: Collection[Till],
    presented: Mapping[bytes, Presented],
    live: Mapping[UUID, Use],
    now: datetime,
) -> UseDecision:
    """Answer each request. `known` holds what stood under their numbers; the others have just taken theirs.

    `presented` holds the vouchers, locked, by the HMAC of their code; `live` their live uses.
    """
    decision = UseDecision()
    numbers, at_work = dict(known), dict(live)
    for request in requests:
        before = numbers.get(request.key)
        if before is not None:
            decision.outcomes.append(replayed_use(request, before))
        elif request.till not in admitted:
            decision.outcomes.append(TillNotAdmitted())
        else:
            use = _decide_one(request, presented.get(request.code_hmac), at_work, now)
            numbers[request.key] = use
            if use.voucher_id is not None:
                at_work[use.voucher_id] = use
            decision.new.append((request, use))
            decision.outcomes.append(Outcome(use, replayed=False))
    return decision


def _decide_one(request: UseRequest, voucher: Presented | None, live: Mapping[UUID, Use], now: datetime) -> Use:
    if voucher is None:
        return refused(request, Refusal.UNKNOWN)
    taken = live.get(voucher.id)
    if taken is not None and voucher.state is VoucherState.ISSUED:
        voucher = replace(voucher, state=VoucherState.USED)  # by an earlier request of this very set
    refusal = voucher.refusal_for(request.till.merchant, now)
    if refusal is None:
        return used(request, voucher, now)
    if refusal is Refusal.USED:
        return refused(request, refusal, _facts_of(taken, request.till.merchant))
    facts = {"expires_at": voucher.expires_at.isoformat()} if refusal is Refusal.EXPIRED else None
    return refused(request, refusal, facts)


def _facts_of(taken: Use | None, merchant: str) -> dict[str, Any]:
    """When it was used; where and under which number is told to the same merchant alone (G14)."""
    if taken is None or taken.used_at is None:
        return {}
    facts: dict[str, Any] = {"used_at": taken.used_at.isoformat()}
    if taken.till.merchant == merchant:
        facts |= {"terminal": taken.till.terminal, "request_number": taken.request_number}
    return facts


def decide_reversals(
    requests: Sequence[ReversalRequest],
    *,
    tombstones: Mapping[UseKey, Use],
    locked: Mapping[UseKey, Use],
    now: datetime,
    window: timedelta,
) -> ReversalDecision:
    """Answer each reversal. `tombstones` have just taken their numbers; `locked` are the uses that stood under theirs."""
    decision = ReversalDecision()
    numbers = dict(locked)
    for request in requests:
        use = numbers.get(request.key)
        if use is None:
            use = tombstones[request.key]
            decision.reversed.append((request, use))
            decision.outcomes.append(Outcome(use, replayed=False))
        elif use.state is UseState.REVERSED:
            decision.outcomes.append(Outcome(use, replayed=True))
        elif too_late := require_in_window(use, now, window):
            decision.outcomes.append(too_late)
        else:
            use = replace(use, state=UseState.REVERSED, reversed_at=now)
            decision.reversed.append((request, use))
            decision.outcomes.append(Outcome(use, replayed=False))
        numbers[request.key] = use
    return decision
