"""Sets of uses and reversals, decided in the order of their arrival."""

import datetime as dt
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fulfillment.merchants.domain import Till, TillNotAdmitted
from services.fulfillment.tills.deciding import ReversalDecision, UseDecision, decide_reversals, decide_uses
from services.fulfillment.tills.domain import (
    Outcome,
    Presented,
    Refusal,
    RequestNumberReused,
    ReversalRequest,
    ReversalTooLate,
    Use,
    UseRequest,
    UseReversed,
    UseState,
    tombstone,
)
from services.fulfillment.vouchers.domain import Promise, VoucherState
from shared.audit import Actor

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
WINDOW = dt.timedelta(minutes=30)
TEXT = {"zh_hans": "咖啡", "zh_hant": "咖啡", "en": "Coffee"}
PROMISE = Promise("R1", TEXT, TEXT, 5000, "CNY", 30, ("M1", "M2"))
TILL = Till("M1", "T1")
ACTOR = Actor("merchant:till", "till")
CODE = b"c" * 32


def voucher_of(**given: object) -> Presented:
    usual = Presented(uuid.uuid4(), VoucherState.ISSUED, NOW + dt.timedelta(days=1), None, PROMISE)
    return replace(usual, **given)


def asking(number: str = "1", till: Till = TILL, code: bytes = CODE, fingerprint: bytes = b"f" * 32) -> UseRequest:
    return UseRequest(uuid.uuid4(), till, number, code, fingerprint, None, ACTOR)


def taking_back(number: str = "1", till: Till = TILL) -> ReversalRequest:
    return ReversalRequest(uuid.uuid4(), till, number, ACTOR)


def decide(
    *requests: UseRequest, voucher: Presented | None = None, known: tuple[Use, ...] = (), live: tuple[Use, ...] = ()
) -> UseDecision:
    return decide_uses(
        requests,
        known={use.key: use for use in known},
        admitted={TILL, Till("M1", "T2"), Till("M2", "T1"), Till("M3", "T1")},
        presented={} if voucher is None else {CODE: voucher},
        live={use.voucher_id: use for use in live if use.voucher_id},
        now=NOW,
    )


def reverse(*requests: ReversalRequest, standing: tuple[Use, ...] = (), now: dt.datetime = NOW) -> ReversalDecision:
    locked = {use.key: use for use in standing}
    tombstones = {request.key: tombstone(request, now) for request in reversed(requests) if request.key not in locked}
    return decide_reversals(requests, tombstones=tombstones, locked=locked, now=now, window=WINDOW)


def refusal_in(outcome: object) -> tuple[Refusal | None, dict[str, object]]:
    assert isinstance(outcome, Outcome)
    assert outcome.use.state is UseState.REFUSED
    return outcome.use.refusal, dict(outcome.use.refusal_facts or {})


def success_of(voucher: Presented, request: UseRequest) -> Use:
    outcome = decide(request, voucher=voucher).outcomes[0]
    assert isinstance(outcome, Outcome)
    assert outcome.use.state is UseState.LIVE
    return outcome.use


@pytest.mark.proves("G14", "F5")
def test_the_first_of_a_set_uses_the_voucher_and_the_others_hear_that_it_is_used() -> None:
    voucher = voucher_of()
    requests = [asking("1"), asking("2"), asking("1", Till("M2", "T1"))]
    first, second, elsewhere = decide(*requests, voucher=voucher).outcomes
    assert isinstance(first, Outcome)
    assert (first.use.state, first.use.used_at, first.use.voucher_id) == (UseState.LIVE, NOW, voucher.id)
    assert refusal_in(second) == (
        Refusal.USED,
        {"used_at": NOW.isoformat(), "terminal": "T1", "request_number": "1"},
    )
    assert refusal_in(elsewhere) == (Refusal.USED, {"used_at": NOW.isoformat()})  # where is none of that merchant's business


@pytest.mark.proves("G15")
def test_the_same_request_twice_in_a_set_is_one_use() -> None:
    once, again, other = decide(asking(), asking(), asking(fingerprint=b"g" * 32), voucher=voucher_of()).outcomes
    assert isinstance(once, Outcome)
    assert isinstance(again, Outcome)
    assert (once.replayed, again.replayed, once.use) == (False, True, again.use)
    assert isinstance(other, RequestNumberReused)


@pytest.mark.proves("F5")
@pytest.mark.parametrize(
    ("voucher", "till", "refusal"),
    [
        (None, TILL, Refusal.UNKNOWN),
        (voucher_of(state=VoucherState.VOIDED), TILL, Refusal.UNKNOWN),
        (voucher_of(), Till("M3", "T1"), Refusal.UNKNOWN),
        (voucher_of(state=VoucherState.USED, used_at=NOW), Till("M3", "T1"), Refusal.UNKNOWN),
        (voucher_of(expires_at=NOW), Till("M3", "T1"), Refusal.UNKNOWN),
        (voucher_of(expires_at=NOW), TILL, Refusal.EXPIRED),
        (voucher_of(state=VoucherState.EXPIRED), TILL, Refusal.EXPIRED),
        (voucher_of(state=VoucherState.USED, used_at=NOW), TILL, Refusal.USED),
    ],
)
def test_a_till_hears_only_what_concerns_its_merchant(voucher: Presented | None, till: Till, refusal: Refusal) -> None:
    assert refusal_in(decide(asking(till=till), voucher=voucher).outcomes[0])[0] is refusal


@pytest.mark.proves("F5")
def test_a_voucher_can_be_used_until_the_last_instant_before_its_end() -> None:
    assert success_of(voucher_of(expires_at=NOW + dt.timedelta(microseconds=1)), asking()).state is UseState.LIVE


def test_a_till_that_is_not_admitted_leaves_no_trace_and_still_gets_its_old_answers() -> None:
    stranger = Till("M9", "T1")
    decision = decide(asking(till=stranger), voucher=voucher_of())
    assert isinstance(decision.outcomes[0], TillNotAdmitted)
    assert decision.new == []
    old = replace(success_of(voucher_of(), asking()), till=stranger)
    replayed = decide(asking(till=stranger), known=(old,)).outcomes[0]
    assert replayed == Outcome(old, replayed=True)


@pytest.mark.proves("G15")
def test_a_use_that_comes_after_its_reversal_takes_nothing() -> None:
    left = reverse(taking_back()).reversed[0][1]
    decision = decide(asking(), voucher=voucher_of(), known=(left,))
    assert isinstance(decision.outcomes[0], UseReversed)
    assert decision.new == []


@pytest.mark.proves("G15")
@pytest.mark.parametrize(
    ("age", "late"), [(dt.timedelta(0), False), (WINDOW - dt.timedelta(microseconds=1), False), (WINDOW, True)]
)
def test_a_use_is_reversed_within_the_window_alone(age: dt.timedelta, late: bool) -> None:
    use = success_of(voucher_of(), asking())
    decision = reverse(taking_back(), taking_back(), standing=(use,), now=NOW + age)
    if late:
        assert all(isinstance(outcome, ReversalTooLate) for outcome in decision.outcomes)
        assert decision.reversed == []
    else:
        first, again = decision.outcomes
        assert isinstance(first, Outcome)
        assert isinstance(again, Outcome)
        assert (first.replayed, again.replayed, first.use.state) == (False, True, UseState.REVERSED)
        assert len(decision.reversed) == 1


def test_a_reversed_use_is_answered_as_such_long_after_the_window() -> None:
    use = replace(success_of(voucher_of(), asking()), state=UseState.REVERSED, reversed_at=NOW)
    outcome = reverse(taking_back(), standing=(use,), now=NOW + 9 * WINDOW).outcomes[0]
    assert outcome == Outcome(use, replayed=True)


numbers = st.sampled_from("123")
tills = st.sampled_from([TILL, Till("M1", "T2"), Till("M2", "T1"), Till("M3", "T1")])


@pytest.mark.proves("G14", "G15")
@given(st.lists(st.lists(st.tuples(st.sampled_from(["use", "reverse"]), numbers, tills), max_size=6), max_size=8))
def test_whatever_comes_in_whatever_order_one_use_is_live_or_none(sets: list[list[tuple[str, str, Till]]]) -> None:
    """Sets of uses and reversals against what is kept between them: the rows, and the voucher's state."""
    kept: dict[tuple[str, str, str], Use] = {}
    voucher = voucher_of()
    for commands in sets:
        uses = [asking(number, till) for verb, number, till in commands if verb == "use"]
        live = tuple(use for use in kept.values() if use.state is UseState.LIVE)
        decision = decide(*uses, voucher=voucher, known=tuple(kept.values()), live=live)
        kept |= {use.key: use for _, use in decision.new}
        backs = [taking_back(number, till) for verb, number, till in commands if verb == "reverse"]
        reversal = reverse(*backs, standing=tuple(kept.values()))
        kept |= {use.key: use for _, use in reversal.reversed}
        alive = [use for use in kept.values() if use.state is UseState.LIVE]
        assert len(alive) <= 1
        assert not {use.key for use in alive} & {request.key for request in backs}
        used_at = alive[0].used_at if alive else None
        voucher = replace(voucher, state=VoucherState.USED if alive else VoucherState.ISSUED, used_at=used_at)
