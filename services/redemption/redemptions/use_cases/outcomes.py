"""What fulfillment says of parts becomes states, points and timelines: one function for its answers, its reports and our looks.

Exactly once, however often, late or out of order it is told: under the redemption's lock only a higher version is news, and
a line whose points went back has a return document that says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.deliveries import store as deliveries
from services.redemption.deliveries.domain import GIVEN_BACK, NOT_OUT_YET, Delivery, Fate, Report, fates_of, news
from services.redemption.parts import Parts
from services.redemption.points import store as ledger
from services.redemption.points.domain import Refund
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import (
    TASK_FOR,
    Command,
    Event,
    Redemption,
    State,
    TimelineEntry,
    decide,
    event_of,
)
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.apart import commit_apart
from services.redemption.redemptions.use_cases.drive import follow_up
from services.redemption.returns import store as documents
from services.redemption.returns.domain import Kind, Return, ReturnLine, id_of, lines_to_return, points_of
from services.redemption.returns.domain import State as ReturnState
from services.redemption.returns.use_cases import give_back_task
from shared.audit import Actor, Entry
from shared.failpoints import failpoint
from shared.tasks import NewTask

Outcome = Literal["taken", "older", "unknown", "failed"]
SPENT = frozenset({State.CONFIRMED, State.DELIVERING, State.CANCELLING, State.FULFILLED, State.RETURNED})
"""States in which points were spent, so that points can go back."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """What the caller has read already, so that redemptions of e-vouchers alone cost no statement more."""

    lines: Mapping[UUID, Sequence[LineRow]]
    with_goods: Sequence[UUID]


@dataclass(slots=True)
class _Case:
    """One redemption, and what a report means for it."""

    redemption: Redemption
    report: Report
    lines: Sequence[LineRow]
    delivery: Delivery | None
    is_news: bool
    event: Event | None
    backs: dict[Kind, list[int]]
    """Numbers of lines that come back, by why; some may have come back before."""
    went_out: bool = False
    """Whether something has left, as far as is known when this report is taken in."""


@dataclass(slots=True)
class _Effects:
    """What one commit does."""

    now: datetime
    actor: Actor
    changed: dict[UUID, Redemption] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    events: list[tuple[UUID, TimelineEntry]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tasks: list[NewTask] = field(default_factory=list)
    new_returns: list[Return] = field(default_factory=list)
    decided: dict[UUID, ReturnState] = field(default_factory=dict)
    return_lines: list[ReturnLine] = field(default_factory=list)
    refunds: list[tuple[Redemption, Refund]] = field(default_factory=list)
    given_back: dict[tuple[UUID, str], int] = field(default_factory=dict)
    """How much of a customer's limit comes back, by customer and key."""

    def tell(self, redemption_id: UUID, kind: str, facts: Mapping[str, Any], at: datetime | None = None) -> None:
        """The next entry of a timeline."""
        redemption = self.changed[redemption_id]
        self.changed[redemption_id] = replace(redemption, events_count=redemption.events_count + 1, changed_at=self.now)
        instant = self.now if at is None else min(at, self.now)
        entry = TimelineEntry(redemption.events_count + 1, instant, kind, self.actor.name, facts)
        self.events.append((redemption_id, entry))


async def take_outcomes(parts: Parts, reports: Sequence[Report], actor: Actor) -> dict[UUID, Outcome]:
    """What fulfillment told of its own accord, in one commit. Of several reports of one redemption the newest counts.

    One that cannot be taken in is `failed`: it is told again, and does not hold up the others.
    """
    newest: dict[UUID, Report] = {}
    for report in sorted(reports, key=lambda report: report.version):
        newest[report.redemption_id] = report

    async def commit(some: Sequence[Report]) -> dict[UUID, Outcome]:
        async def work(conn: AsyncConnection) -> dict[UUID, Outcome]:
            outcomes = await take_reports(parts, conn, {report.redemption_id: report for report in some}, actor)
            await failpoint("outcomes.before_commit")
            return outcomes

        return await parts.database.run(work)

    halved = await commit_apart(list(newest.values()), commit, lambda report: report.redemption_id)
    failed: dict[UUID, Outcome] = {report.redemption_id: "failed" for report, _ in halved.spoiled}
    return failed | {one: outcome for outcomes in halved.results for one, outcome in outcomes.items()}


async def take_reports(
    parts: Parts, conn: AsyncConnection, reports: Mapping[UUID, Report], actor: Actor, known: Known | None = None
) -> dict[UUID, Outcome]:
    """Take in what fulfillment says of redemptions, within a transaction. Answers `taken`, `older` or `unknown` for each.

    Locks redemptions, then accounts, then counters. Redemptions that have not come to their pivot are unknown to fulfillment.
    """
    locked = await store.lock(conn, reports)
    with_goods = list(locked) if known is None else [one for one in known.with_goods if one in locked]
    chosen = await deliveries.read(conn, with_goods) if with_goods else {}
    lines = await store.read_lines(conn, list(locked)) if known is None else known.lines
    outcomes: dict[UUID, Outcome] = {}
    cases: list[_Case] = []
    for redemption_id, report in reports.items():
        found = _judge(locked.get(redemption_id), report, lines.get(redemption_id, ()), chosen.get(redemption_id))
        if isinstance(found, _Case):
            cases.append(found)
            outcomes[redemption_id] = "taken"
        else:
            outcomes[redemption_id] = found
    await _carry_out(parts, conn, cases, actor)
    return outcomes


def _judge(
    redemption: Redemption | None, report: Report, lines: Sequence[LineRow], delivery: Delivery | None
) -> _Case | Outcome:
    if redemption is None or redemption.state in (State.ACCEPTED, State.DECLINED):
        return "unknown"
    is_news = delivery is None or report.version > delivery.fulfillment_version
    if not is_news:
        if not (report.is_decided and redemption.state is State.CANCELLING):
            return "older"
        assert delivery is not None
        if report.version < delivery.fulfillment_version:  # a report overtook the answer, and knows more of the parts
            report = replace(report, parts=delivery.parts)
    numbers = [row["number"] for row in lines]
    event = event_of(redemption.state, numbers, report)
    backs: dict[Kind, list[int]] = {}
    if redemption.state in SPENT:
        for number, fate in fates_of(numbers, report).items():
            undecided = fate is Fate.CANCELLATION and redemption.state is State.CANCELLING and event is None
            if fate in GIVEN_BACK and not undecided:
                backs.setdefault(Kind(fate.value), []).append(number)
    return _Case(redemption, report, lines, delivery, is_news, event, backs)


async def _carry_out(parts: Parts, conn: AsyncConnection, cases: Sequence[_Case], actor: Actor) -> None:
    coming = [case.redemption for case in cases if case.backs]
    returned = await documents.read_returned(conn, [r.id for r in coming]) if coming else {}
    asked_for = [case.redemption.id for case in cases if case.redemption.state is State.CANCELLING]
    requested = await documents.read_requested(conn, asked_for) if asked_for else {}
    books = await ledger.lock_books(conn, [r.account_id for r in coming])
    effects = _Effects(await parts.clock.now(conn), actor)
    for case in cases:
        _note(case, returned.get(case.redemption.id, {}), requested.get(case.redemption.id), effects)
    if effects.refunds:
        spent = await ledger.read_spent(conn, books, [redemption.id for redemption, _ in effects.refunds])
        today, grace_days = parts.day(effects.now), parts.settings.grace_days
        changed = {}
        for redemption, refund in effects.refunds:
            book = books[redemption.account_id]
            for one in book.refund(spent[redemption.id], refund, effects.now, today, grace_days):
                changed[one.redemption_id, one.lot_id] = one
        await ledger.save_books(conn, books.values())
        await ledger.save_spent(conn, list(changed.values()))
    await _write(parts, conn, effects)


async def _write(parts: Parts, conn: AsyncConnection, effects: _Effects) -> None:
    await store.save(conn, list(effects.changed.values()), effects.now)
    await deliveries.save(conn, effects.deliveries, effects.now)
    await documents.give_limits_back(conn, effects.given_back)
    await documents.insert(conn, effects.new_returns)
    await documents.decide(conn, effects.decided, effects.now)
    await documents.insert_lines(conn, effects.return_lines)
    await store.insert_events(conn, effects.events)
    await parts.audit.record(conn, effects.now, effects.entries)
    await parts.tasks.add(conn, effects.tasks)


def _note(case: _Case, returned: Mapping[int, int], requested: Return | None, effects: _Effects) -> None:
    """Note in `effects` what one report does."""
    redemption = case.redemption
    effects.changed[redemption.id] = redemption
    _note_parts(case, effects)
    for kind, numbers in sorted(case.backs.items()):
        if found := lines_to_return(case.lines, numbers, returned):
            _note_return(case, kind, found, requested if kind is Kind.CANCELLATION else None, effects)
    if case.event is not None:
        _note_arrow(case, case.event, effects)
        if requested is not None and requested.id not in effects.decided:
            effects.decided[requested.id] = ReturnState.REFUSED
            effects.tell(redemption.id, "too_late", {})
    if case.event is Event.DELIVERED and case.delivery is None:
        effects.tell(redemption.id, "fulfilled", {})
    if effects.changed[redemption.id] == redemption:
        del effects.changed[redemption.id]


def _note_parts(case: _Case, effects: _Effects) -> None:
    """The parts' own news; the reservation is consumed when the first of them goes out."""
    delivery, redemption_id = case.delivery, case.redemption.id
    if delivery is None:
        return
    case.went_out = delivery.went_out
    if not case.is_news:
        return
    for part in news(delivery.parts, case.report.parts):
        effects.tell(redemption_id, part.event, part.facts(delivery.branch_names if part.branch else None), part.at)
    goes_out = any(part.state not in NOT_OUT_YET for part in case.report.parts)
    if goes_out and not delivery.went_out:
        effects.tasks.append(follow_up(TASK_FOR[Command.CONSUME_RESERVATION], redemption_id, effects.now))
    case.went_out = delivery.went_out or goes_out
    effects.deliveries.append(
        replace(delivery, fulfillment_version=case.report.version, parts=case.report.parts, went_out=case.went_out)
    )
    stand = {"version": case.report.version, "parts": {part.way.value: part.state.value for part in case.report.parts}}
    effects.entries.append(Entry("redemption.delivery_told", f"redemption:{redemption_id}", effects.actor, after=stand))


def _note_return(
    case: _Case, kind: Kind, found: Sequence[tuple[int, int, int]], requested: Return | None, effects: _Effects
) -> None:
    """A document, its points and its limits: what was stopped, came back or was lost."""
    redemption, actor = case.redemption, effects.actor
    if requested is None:
        if kind is Kind.CANCELLATION:
            log.warning("stopped_without_being_asked", redemption=str(redemption.id))
        document = Return(
            id=id_of(redemption.id, kind, [number for number, _, _ in found]),
            redemption_id=redemption.id,
            kind=kind,
            state=ReturnState.REFUNDED,
            reason="",
            actor=actor.name,
            channel=actor.channel,
            requested_at=effects.now,
            decided_at=effects.now,
        )
        effects.new_returns.append(document)
    else:
        document = requested
        effects.decided[document.id] = ReturnState.REFUNDED
        actor = replace(actor, reason=document.reason, on_behalf_of=document.actor)
    lines = [ReturnLine(document.id, redemption.id, number, quantity, points) for number, quantity, points in found]
    points = points_of(lines)
    effects.return_lines.extend(lines)
    effects.refunds.append((redemption, Refund(document.id, points)))
    after = {"return": str(document.id), "kind": kind.value, "points": points}
    effects.entries.append(Entry("redemption.refunded", f"redemption:{redemption.id}", actor, after=after))
    if kind is Kind.CANCELLATION:
        _give_limits_back(case, lines, effects)
        effects.tell(redemption.id, "cancelled" if case.event is Event.STOPPED else "stopped", {"points": points})
    else:
        effects.tell(redemption.id, kind.value, {"points": points})
    if not _is_released(case):
        effects.tasks.append(give_back_task(document, effects.now))


def _give_limits_back(case: _Case, lines: Sequence[ReturnLine], effects: _Effects) -> None:
    """Under the keys under which they were counted: the offer and the day may have other limits by now (K2)."""
    keys_of = {row["number"]: row["limit_keys"] for row in case.lines}
    for line in lines:
        for key in keys_of[line.number]:
            at = (case.redemption.customer_id, key)
            effects.given_back[at] = effects.given_back.get(at, 0) + line.quantity


def _is_released(case: _Case) -> bool:
    """Whether the whole reservation is released, which gives everything back: it was stopped, and nothing ever went out."""
    return case.event is Event.STOPPED and not case.went_out


def _note_arrow(case: _Case, event: Event, effects: _Effects) -> None:
    before = effects.changed[case.redemption.id]
    state, commands = decide(before.state, event)
    effects.changed[before.id] = replace(before, state=state, changed_at=effects.now)
    effects.entries.append(
        Entry(
            f"redemption.{state.value}",
            f"redemption:{before.id}",
            effects.actor,
            before={"state": before.state.value},
            after={"state": state.value},
        )
    )
    for command in commands:
        given_back_by_line = command is Command.RELEASE_RESERVATION and not _is_released(case)
        if command in TASK_FOR and not given_back_by_line:
            effects.tasks.append(follow_up(TASK_FOR[command], before.id, effects.now))
