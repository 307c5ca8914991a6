"""Driving: from accepted to confirmed or declined, by the request that brought it or, after a crash, by a worker.

One call to the catalog for a set of redemptions, then one commit: the fence, the arrows, the points, the timelines, the work
that follows, the answers that are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.neighbours.catalog import Outcome, Wanted, WantedLine
from services.redemption.parts import Parts
from services.redemption.points import store as ledger
from services.redemption.points.domain import Book, Hold
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import (
    TASK_FOR,
    Command,
    Event,
    Redemption,
    State,
    TimelineEntry,
    decide,
)
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.commands import Answer, Redeem
from shared.audit import Actor, Entry
from shared.failpoints import failpoint
from shared.statements import together
from shared.tasks import Again, Claim, NewTask
from shared.tasks.queue import backoff_seconds

DRIVER = Actor("service:redemption", "worker")
UNAVAILABLE = [{"code": "catalog-unavailable"}]
WATCHED_EVERY = timedelta(hours=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Step:
    """What is known of one redemption before its pivot: how the catalog answered, and who waits for it."""

    redemption: Redemption
    lines: Sequence[LineRow]
    claim: Claim | None
    event: Event
    reasons: Sequence[Mapping[str, Any]] = ()
    in_doubt: bool = False
    command: Redeem | None = None
    actor: Actor | None = None
    """Who cancels; otherwise the command's actor or, without one, the driver."""


@dataclass(slots=True)
class _Effects:
    """What one commit does beside the arrows."""

    now: datetime
    changed: list[Redemption] = field(default_factory=list)
    events: list[tuple[UUID, TimelineEntry]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tasks: list[NewTask] = field(default_factory=list)
    posted: list[UUID] = field(default_factory=list)
    released: list[UUID] = field(default_factory=list)
    counters: dict[tuple[UUID, str], int] = field(default_factory=dict)


async def reserve(
    parts: Parts, wanted: Sequence[tuple[Redemption, Sequence[LineRow]]], actor: Actor
) -> dict[UUID, tuple[Event, Sequence[Mapping[str, Any]]]]:
    """Ask the catalog for a set of redemptions. Those that it does not settle (a broken contract) are left out and logged."""
    items = [
        Wanted(
            redemption.id,
            redemption.campaign,
            [WantedLine(row["number"], row["offer_id"], row["offer_version"], row["quantity"]) for row in lines],
        )
        for redemption, lines in wanted
    ]
    outcomes = await parts.catalog.reserve(items, actor)
    await failpoint("drive.after_call")
    settled: dict[UUID, tuple[Event, Sequence[Mapping[str, Any]]]] = {}
    for redemption, _ in wanted:
        event = _event_of(outcomes.get(redemption.id))
        if event is None and redemption.id in outcomes and outcomes[redemption.id].outcome == "released":
            log.info("reservation_met_its_release", redemption=str(redemption.id))
        elif event is None:
            log.error("reservation_not_understood", redemption=str(redemption.id), outcome=outcomes.get(redemption.id))
        else:
            settled[redemption.id] = (event, outcomes[redemption.id].reasons)
    return settled


def _event_of(outcome: Outcome | None) -> Event | None:
    if outcome is None:
        return None
    if outcome.outcome in ("held", "consumed"):
        return Event.RESERVED
    if outcome.outcome == "refused":
        return Event.REFUSED
    # "released": only this redemption's own decline or cancellation releases, and then it is not accepted any more;
    # "mismatch" is a fault.
    return None


async def settle(parts: Parts, conn: AsyncConnection, steps: Sequence[Step]) -> dict[UUID, Answer]:
    """The second commit. Steps whose lease was lost, or whose redemption has moved on, are dropped: another one did them.

    Answers what those who wait are told, by redemption.
    """
    fenced = await parts.tasks.finish(conn, [step.claim for step in steps if step.claim is not None])
    mine = [step for step in steps if step.claim is not None and step.claim.id in fenced]
    locked = await store.lock(conn, [step.redemption.id for step in mine])
    mine = [replace(s, redemption=locked[s.redemption.id]) for s in mine if locked[s.redemption.id].state is State.ACCEPTED]
    changed = await take_arrows(parts, conn, mine)
    answers = await _keep_answers(parts, conn, mine, changed)
    await failpoint("drive.before_commit")
    return answers


async def take_arrows(parts: Parts, conn: AsyncConnection, steps: Sequence[Step]) -> list[Redemption]:
    """Carry out the steps of redemptions that are accepted and locked by the caller. Answers how they stand now."""
    books = await ledger.lock_books(conn, [step.redemption.account_id for step in steps])
    effects = _Effects(await parts.clock.now(conn))
    for step in steps:
        _take_arrow(step, effects)
    holds = await ledger.read_holds(conn, [step.redemption.id for step in steps])
    async with together(conn):
        await _write_points(parts, conn, (books, holds), steps, effects)
        await store.save(conn, effects.changed, effects.now)
        await store.add_to_counters(conn, effects.counters)
        await store.insert_events(conn, effects.events)
        await parts.audit.record(conn, effects.now, effects.entries)
        await parts.tasks.add(conn, effects.tasks)
    return effects.changed


def _take_arrow(step: Step, effects: _Effects) -> None:
    """Note in `effects` what this step's arrow does."""
    state, commands = decide(step.redemption.state, step.event, in_doubt=step.in_doubt)
    redemption = replace(
        step.redemption,
        state=state,
        reasons=list(step.reasons),
        events_count=step.redemption.events_count + 1,
        changed_at=effects.now,
    )
    effects.changed.append(redemption)
    facts: dict[str, Any] = {"points": redemption.price_points, "reasons": [reason["code"] for reason in step.reasons]}
    actor = step.actor or (DRIVER if step.command is None else step.command.actor)
    if actor.reason:
        facts["reason"] = actor.reason
    effects.events.append((redemption.id, TimelineEntry(redemption.events_count, effects.now, state.value, actor.name, facts)))
    effects.entries.append(
        Entry(
            f"redemption.{state.value}",
            f"redemption:{redemption.id}",
            actor,
            before={"state": step.redemption.state.value},
            after={"state": state.value, "reasons": facts["reasons"]},
        )
    )
    for command in commands:
        _note(command, step, effects)


def _note(command: Command, step: Step, effects: _Effects) -> None:
    redemption = step.redemption
    match command:
        case Command.POST_POINTS:
            effects.posted.append(redemption.id)
        case Command.RELEASE_POINTS:
            effects.released.append(redemption.id)
        case Command.RELEASE_LIMITS:
            for row in step.lines:
                for key in row["limit_keys"]:
                    at = (redemption.customer_id, key)
                    effects.counters[at] = effects.counters.get(at, 0) - row["quantity"]
        case _:
            effects.tasks.append(follow_up(TASK_FOR[command], redemption.id, effects.now))


def follow_up(kind: str, redemption_id: UUID, now: datetime) -> NewTask:
    """The task that carries a redemption on; one of a kind at a time. `watch` is for reports that got lost: it has time."""
    run_at = now + WATCHED_EVERY if kind == TASK_FOR[Command.WATCH] else now
    return NewTask(kind=kind, ref=redemption_id, run_at=run_at, dedupe_key=str(redemption_id))


async def _write_points(
    parts: Parts,
    conn: AsyncConnection,
    held: tuple[dict[UUID, Book], dict[UUID, list[Hold]]],
    steps: Sequence[Step],
    effects: _Effects,
) -> None:
    books, holds = held
    account_of = {step.redemption.id: step.redemption.account_id for step in steps}
    for redemption_id in effects.posted:
        books[account_of[redemption_id]].post_holds(holds[redemption_id], effects.now)
    today = parts.day(effects.now)
    for redemption_id in effects.released:
        book = books[account_of[redemption_id]]
        book.release_holds(holds[redemption_id], effects.now, today, parts.settings.grace_days)
    await ledger.save_books(conn, books.values())
    await ledger.end_holds(conn, effects.posted, "posted")
    await ledger.end_holds(conn, effects.released, "released")


async def _keep_answers(
    parts: Parts, conn: AsyncConnection, steps: Sequence[Step], changed: Sequence[Redemption]
) -> dict[UUID, Answer]:
    ended = {redemption.id: redemption for redemption in changed}
    answers: dict[UUID, Answer] = {}
    kept = []
    for step in steps:
        if step.command is not None:
            answer = step.command.writer.redemption(ended[step.redemption.id], step.lines)
            answers[step.redemption.id] = answer
            kept.append((step.command.attempt.key, answer.status, answer.body, answer.location))
    await parts.keys.finish(conn, kept)
    return answers


async def drive_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """The worker's way: carry on what a request left behind. An earlier attempt may still be on its way to the catalog."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    async with parts.database.transaction() as conn:
        now = await parts.clock.now(conn)
        found = await store.read(conn, ids)
        lines = await store.read_lines(conn, ids)
    by_ref = {claim.ref: claim for claim in claims}
    waiting = [r for r in found.values() if r.state is State.ACCEPTED]
    late = [r for r in waiting if r.deadline_at <= now]
    due = [r for r in waiting if r.deadline_at > now]
    steps = [Step(r, lines[r.id], by_ref[r.id], Event.DEADLINE_PASSED, UNAVAILABLE, in_doubt=True) for r in late]
    settled: dict[UUID, tuple[Event, Sequence[Mapping[str, Any]]]] = {}
    failure = "the catalog's answer was not understood"
    try:
        settled = await reserve(parts, [(r, lines[r.id]) for r in due], DRIVER) if due else {}
    except Exception as error:  # noqa: BLE001 - whatever went wrong, those that are late must still be declined
        failure = type(error).__name__
    steps += [Step(r, lines[r.id], by_ref[r.id], *settled[r.id], in_doubt=True) for r in due if r.id in settled]
    moved_on = [claim for claim in claims if claim.ref not in {r.id for r in waiting}]

    async def work(conn: AsyncConnection) -> None:
        await parts.tasks.finish(conn, moved_on)
        await settle(parts, conn, steps)

    await parts.database.run(work)
    return {by_ref[r.id].id: _before_its_deadline(failure, by_ref[r.id], r, now) for r in due if r.id not in settled}


def _before_its_deadline(failure: str, claim: Claim, redemption: Redemption, now: datetime) -> Again:
    """Try again by the back-off, but no later than when it is to be declined."""
    left = (redemption.deadline_at - now).total_seconds()
    return Again(failure, after_seconds=min(backoff_seconds(claim.failures), left))
