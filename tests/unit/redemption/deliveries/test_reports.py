"""What fulfillment's reports mean: fates of lines, arrows, and a model of both sides explored to its depth."""

import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.redemption.deliveries.domain import (
    STATES_OF,
    DeliveryNotNeeded,
    DeliveryNotOffered,
    DeliveryRequired,
    Fate,
    Part,
    PartState,
    Report,
    Way,
    check_way,
    fates_of,
    may_still_be_stopped,
    news,
)
from services.redemption.deliveries.schemas import PartBody
from services.redemption.offers.domain import Offer
from services.redemption.redemptions.domain import ARROWS, Event, Redemption, State, decide, event_of
from services.redemption.redemptions.use_cases.outcomes import _judge
from services.redemption.returns.domain import Kind
from shared.sets import as_json

NOON = datetime(2026, 6, 1, 4, tzinfo=UTC)
REDEMPTION = uuid.UUID(int=1)
EVERY_PART = [(way, state) for way in Way for state in sorted(STATES_OF[way])]


def part(way: str, state: str, *lines: int, minutes: int = 0) -> Part:
    return Part(Way(way), PartState(state), lines or (1,), NOON + timedelta(minutes=minutes))


def report(*parts: Part, version: int = 1, **given_values: Any) -> Report:
    return Report(REDEMPTION, version, parts, **given_values)


@pytest.mark.parametrize(("way", "state"), EVERY_PART)
def test_each_state_of_a_part_has_one_fate(way: Way, state: PartState) -> None:
    expected = {
        "issued": Fate.WELL, "delivered": Fate.WELL, "collected": Fate.WELL, "cancelled": Fate.CANCELLATION, "lost": Fate.LOST,
        "returned": Fate.NOT_COLLECTED if way is Way.PICKUP else Fate.CAME_BACK,
    }  # fmt: skip
    assert part(way, state).fate is expected.get(state.value, Fate.UNDER_WAY)


@pytest.mark.parametrize(
    ("parts", "event"),
    [
        ([("wallet", "issued", 1)], Event.DELIVERED),
        ([("wallet", "issued", 1), ("courier", "preparing", 2)], Event.UNDER_WAY),
        ([("wallet", "issued", 1), ("courier", "delivered", 2)], Event.DELIVERED),
        ([("wallet", "issued", 1), ("courier", "returned", 2)], Event.DELIVERED),
        ([("wallet", "issued", 1), ("pickup", "cancelled", 2)], Event.DELIVERED),
        ([("courier", "failed", 1, 2)], Event.UNDER_WAY),
        ([("courier", "delivered", 1, 2)], Event.DELIVERED),
        ([("courier", "returned", 1, 2)], Event.CAME_BACK),
        ([("courier", "lost", 1, 2)], Event.CAME_BACK),
        ([("pickup", "returned", 1, 2)], Event.CAME_BACK),
        ([("pickup", "cancelled", 1, 2)], Event.STOPPED),
        ([("pickup", "cancelled", 1), ("courier", "lost", 2)], Event.CAME_BACK),
        ([("courier", "delivered", 1)], Event.UNDER_WAY),  # nobody speaks of the second line yet
    ],
)
def test_the_header_s_state_follows_from_all_parts(parts: list[tuple[Any, ...]], event: Event) -> None:
    told = report(*(part(*one) for one in parts))
    numbers = {number for one in told.parts for number in one.lines} if len(parts[0]) == 3 and len(parts) == 1 else {1, 2}
    numbers = {1, 2} if event is Event.UNDER_WAY else numbers
    assert event_of(State.CONFIRMED, numbers, told) is event
    assert event_of(State.DELIVERING, numbers, told) is (None if event is Event.UNDER_WAY else event)
    for ended in (State.FULFILLED, State.RETURNED, State.CANCELLED):
        assert event_of(ended, numbers, told) is None


@pytest.mark.proves("G18")
def test_while_a_cancellation_is_asked_for_only_a_part_that_has_not_left_is_undecided() -> None:
    for way, state in EVERY_PART:
        told = report(part(way, state))
        undecided = state is PartState.PREPARING
        assert may_still_be_stopped([1], told) is undecided
        assert (event_of(State.CANCELLING, [1], told) is None) is undecided
        answer = replace(told, is_decided=True)
        assert event_of(State.CANCELLING, [1], answer) is not None, "the answer always decides"
    assert event_of(State.CANCELLING, [1], report(all_stopped=True)) is Event.STOPPED
    assert event_of(State.CANCELLING, [1, 2], report(part("wallet", "issued"))) is None, "of the second line nothing is known"
    partly = report(part("wallet", "issued", 1), is_decided=True, stopped=frozenset({2}))
    assert fates_of([1, 2], partly) == {1: Fate.WELL, 2: Fate.CANCELLATION}
    assert event_of(State.CANCELLING, [1, 2], partly) is Event.DELIVERED


@pytest.mark.proves("G18")
def test_of_a_cancellation_that_is_not_decided_nothing_is_given_back_yet() -> None:
    lines = [{"number": number, "quantity": 1, "unit_points": 5, "limit_keys": []} for number in (1, 2)]
    half = report(part("pickup", "cancelled", 1), part("courier", "preparing", 2), version=4)
    waiting = _judge(redemption(State.CANCELLING), half, lines, None)
    assert not isinstance(waiting, str) and (waiting.event, waiting.backs) == (None, {})
    decided = _judge(redemption(State.CANCELLING), replace(half, is_decided=True), lines, None)
    assert not isinstance(decided, str) and (decided.event, decided.backs) == (Event.UNDER_WAY, {Kind.CANCELLATION: [1]})
    for early in (State.ACCEPTED, State.DECLINED):
        assert _judge(redemption(early), half, lines, None) == "unknown"
    cancelled = _judge(redemption(State.CANCELLED), half, lines, None)
    assert not isinstance(cancelled, str) and (cancelled.event, cancelled.backs) == (None, {}), (
        "before the pivot nothing was spent"
    )


def redemption(state: State) -> Redemption:
    return Redemption(
        id=REDEMPTION, customer_id=REDEMPTION, account_id=REDEMPTION, campaign="C", mode="points", state=state, price_points=10,
        accepted_at=NOON, accepted_on=NOON.date(), deadline_at=NOON, changed_at=NOON, events_count=2, reasons=[], actor="x",
        channel="x",
    )  # fmt: skip


def test_only_what_changed_is_told_and_in_its_order() -> None:
    wallet, before = part("wallet", "issued", 1), part("courier", "preparing", 2, minutes=1)
    after = part("courier", "dispatched", 2, minutes=9)
    assert news([], [after, wallet]) == [wallet, after]
    assert news([wallet, before], [after, wallet]) == [after]
    failed = part("courier", "failed", 2, minutes=20)
    assert news([failed], [failed]) == []
    assert news([failed], [replace(failed, at=NOON + timedelta(days=1))]) != [], "a second attempt that failed is news"


def test_a_way_knows_only_its_own_states() -> None:
    for way, state in itertools.product(Way, PartState):
        body = {"way": way.value, "state": state.value, "lines": [2, 1], "at": NOON.isoformat(), "something": "new"}
        if state in STATES_OF[way]:
            read = PartBody.model_validate(body).as_part()
            assert (read.way, read.state, read.lines, read.at) == (way, state, (1, 2), NOON)
            assert PartBody.model_validate(json.loads(as_json(asdict(read)))).as_part() == read
        else:
            with pytest.raises(ValidationError):
                PartBody.model_validate(body)


def offer(kind: str, *ways: str) -> Offer:
    reward = {"code": "R", "names": {}, "kind": kind, **({"delivery": list(ways)} if ways else {})}
    return Offer(uuid.uuid4(), 1, "C", reward, None, 100, None, None)


@pytest.mark.proves("F1", "F2")
def test_goods_need_a_way_that_each_of_them_offers_and_e_vouchers_need_none() -> None:
    both, at_branch = (1, offer("goods")), (3, offer("goods", "pickup"))
    check_way([], None)
    check_way([both], Way.COURIER)
    check_way([both, at_branch], Way.PICKUP)
    with pytest.raises(DeliveryRequired) as required:
        check_way([both], None)
    assert [(wrong.field, wrong.code) for wrong in required.value.fields] == [("delivery", "missing")]
    with pytest.raises(DeliveryNotNeeded):
        check_way([], Way.PICKUP)
    with pytest.raises(DeliveryNotOffered) as refused:
        check_way([both, at_branch], Way.COURIER)
    assert refused.value.facts == {"line": 3, "ways": ["pickup"]}


# Both sides as a model: fulfillment's part moves by its own arrows, redemption sees its reports late, doubled, shuffled or not
# at all, and may ask to cancel at any moment. Every path up to the depth is walked.

MOVES = {
    "courier": {
        "preparing": ("dispatching",), "dispatching": ("dispatched",),
        "dispatched": ("delivered", "failed", "returned", "lost"),
        "failed": ("delivered", "returned", "lost"),
    },
    "pickup": {"preparing": ("in_transfer",), "in_transfer": ("ready",), "ready": ("collected", "returned")},
}  # fmt: skip
DEPTH = 9


@dataclass(frozen=True)
class Node:
    """Where both sides stand."""

    way: str
    has_voucher: bool
    part: str  # "" while fulfillment has not heard of it, "stopped" when it was stopped before
    version: int
    state: State
    seen: int
    on_the_way: tuple[tuple[int, str], ...]
    refunded: bool
    asked: bool


def as_report(node: Node, version: int, state: str, **more: Any) -> Report:
    wallet = [part("wallet", "issued", 2)] if node.has_voucher else []
    return report(*wallet, part(node.way, state), version=version, **more)


def taken(node: Node, told: Report) -> Node:
    """The same steps as the use case takes: versions, fates, arrows."""
    numbers = [1, 2] if node.has_voucher else [1]
    if told.version <= node.seen and not (told.is_decided and node.state is State.CANCELLING):
        return node
    event = event_of(node.state, numbers, told)
    fates = fates_of(numbers, told)
    back = fates[1] in (Fate.CANCELLATION, Fate.NOT_COLLECTED, Fate.CAME_BACK, Fate.LOST)
    waits = fates[1] is Fate.CANCELLATION and node.state is State.CANCELLING and event is None
    state = node.state if event is None else decide(node.state, event)[0]
    return replace(node, state=state, seen=max(node.seen, told.version), refunded=node.refunded or (back and not waits))


def next_nodes(node: Node) -> Iterator[Node]:
    if node.part == "":  # the creation arrives; its answer arrives or is lost
        made = replace(node, part="preparing", version=1, on_the_way=(*node.on_the_way, (1, "preparing")))
        yield made
        yield taken(made, as_report(made, 1, "preparing"))
    for state in MOVES[node.way].get(node.part, ()):
        moved = replace(node, part=state, version=node.version + 1)
        yield replace(moved, on_the_way=(*moved.on_the_way, (moved.version, state)))
        yield moved  # the report is lost; the hourly look makes up for it below
    for version, state in node.on_the_way:  # late, doubled, out of order
        yield taken(node, as_report(node, version, state))
    if node.part not in ("", "stopped"):
        yield taken(node, as_report(node, node.version, node.part))
    if node.state in (State.CONFIRMED, State.DELIVERING) and not node.asked:
        yield replace(node, state=decide(node.state, Event.CANCEL_ASKED)[0], asked=True)
    if node.state is State.CANCELLING:  # the call arrives; its answer arrives or is lost
        if node.part in ("", "stopped"):
            stopped = replace(node, part="stopped", version=1)
            yield stopped
            yield taken(stopped, report(version=1, is_decided=True, all_stopped=True))
        else:
            part_now = "cancelled" if node.part == "preparing" else node.part
            version = node.version + (part_now != node.part)
            decided = replace(node, part=part_now, version=version)
            yield decided
            yield replace(decided, on_the_way=(*decided.on_the_way, (version, part_now)))
            stopped_lines = frozenset({1}) if part_now == "cancelled" else frozenset()
            yield taken(decided, as_report(decided, version, part_now, is_decided=True, stopped=stopped_lines))


@pytest.mark.proves("G18", "G20", "G21", "G34")
@pytest.mark.parametrize(("way", "has_voucher"), list(itertools.product(MOVES, (False, True))))
def test_whatever_is_lost_late_or_doubled_points_go_back_exactly_when_nothing_is_handed_out(
    way: str, has_voucher: bool
) -> None:
    start = Node(way, has_voucher, "", 0, State.CONFIRMED, 0, (), refunded=False, asked=False)
    seen, at = {start}, {start}
    for _ in range(DEPTH):
        at = {following for node in at for following in next_nodes(node)} - seen
        seen |= at
    assert len(seen) > 300
    for node in seen:
        in_hand = node.part in (
            "preparing",
            "dispatching",
            "dispatched",
            "failed",
            "in_transfer",
            "ready",
            "delivered",
            "collected",
        )
        assert not (node.refunded and in_hand), f"given back and handed out: {node}"
        if node.state is State.CANCELLED:
            assert node.refunded and node.part in ("cancelled", "stopped") and not (has_voucher and node.part == "cancelled")
        if node.state is State.RETURNED:
            assert node.refunded
        if node.state is State.FULFILLED and not has_voucher:
            assert node.part in ("delivered", "collected") and not node.refunded
        if node.part == "cancelled" and node.seen == node.version:
            assert node.refunded
    ends = {node.state for node in seen}
    assert ends >= {State.FULFILLED, State.CANCELLING, State.DELIVERING}
    assert {state for state, _ in ARROWS} >= ends - {State.FULFILLED, State.CANCELLED, State.RETURNED}


@pytest.mark.proves("G34")
@given(st.data())
def test_any_order_and_number_of_reports_leads_to_the_same_end(data: st.DataObject) -> None:
    way = data.draw(st.sampled_from(sorted(MOVES)))
    states = ["preparing"]
    while states[-1] in MOVES[way]:
        states.append(data.draw(st.sampled_from(MOVES[way][states[-1]])))
    log = list(enumerate(states, start=1))
    told = data.draw(st.permutations([*log, *data.draw(st.lists(st.sampled_from(log), max_size=5))]))
    start = Node(way, False, "preparing", len(states), State.CONFIRMED, 0, (), refunded=False, asked=False)
    in_order = other = start
    for version, state in log:
        in_order = taken(in_order, as_report(start, version, state))
    for version, state in told:
        other = taken(other, as_report(start, version, state))
    assert (in_order.state, in_order.refunded) == (other.state, other.refunded)
    assert other.state in (State.FULFILLED, State.RETURNED)
