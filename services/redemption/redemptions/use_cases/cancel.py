"""Cancelling. Before the pivot the redemption's row decides; after it fulfillment does, against dispatch, in its own row.

One step for the request and, after a crash or when it takes longer, for the worker. Nobody cancels what has left.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers.access import require_owner
from services.redemption.deliveries import store as deliveries
from services.redemption.deliveries.domain import Report, may_still_be_stopped
from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import (
    TASK_FOR,
    Command,
    Event,
    Redemption,
    State,
    TimelineEntry,
    TooLateToCancel,
    decide,
)
from services.redemption.redemptions.use_cases.apart import commit_claims
from services.redemption.redemptions.use_cases.commands import Answer
from services.redemption.redemptions.use_cases.drive import DRIVER, Step, take_arrows
from services.redemption.redemptions.use_cases.outcomes import take_reports
from services.redemption.redemptions.use_cases.show import Whole, read_whole
from services.redemption.returns import store as documents
from services.redemption.returns.domain import Kind, Return
from services.redemption.returns.domain import State as ReturnState
from shared.audit import Actor, Entry
from shared.database import DatabaseUnavailable, Overloaded
from shared.errors import DomainError
from shared.failpoints import failpoint
from shared.halves import ask_by_halves
from shared.idempotency import Attempt, Record
from shared.identity import Principal
from shared.ids import new_id
from shared.problems import IdempotencyInFlight, IdempotencyKeyReused, NeighbourUnavailable, NotFound
from shared.tasks import Again, Claim, NewTask

ANSWER_SECONDS = 3.0
IN_FLIGHT_SECONDS = 3.0
LOOK_AGAIN_SECONDS, LOOK_AGAIN_SECONDS_MAX = 0.1, 0.5
NOT_UNDERSTOOD = Again("the answer was not understood", after_seconds=60.0)

log = structlog.get_logger()


class Writer(Protocol):
    """Writes answers in the caller's language."""

    def whole(self, whole: Whole) -> Answer:
        """A redemption that is cancelled, or of which a part was."""

    def refusal(self, error: DomainError) -> Answer:
        """It was too late."""

    def undecided(self, whole: Whole) -> Answer:
        """Not decided yet: where to ask again."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody's wish to cancel a redemption; the actor carries the reason."""

    redemption_id: UUID
    attempt: Attempt
    who: Principal
    actor: Actor
    writer: Writer


@dataclass(frozen=True, slots=True)
class Asked:
    """A cancellation on record, with the lease under which this request drives it; None when somebody else does."""

    document_id: UUID
    redemption_id: UUID
    claim: Claim | None


class Cancelling:
    """The requests' way to cancel, in this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._steps: set[asyncio.Task[None]] = set()

    async def cancel(self, command: Cancel) -> Answer:
        """Carry one wish to its answer, or say after three seconds where to ask again.

        Raises NotFound, and what is wrong with the key.
        """
        until = time.monotonic() + ANSWER_SECONDS
        outcome = await self._parts.database.run(lambda conn: ask(self._parts, conn, command))
        if isinstance(outcome, Answer):
            return outcome
        await failpoint("cancel.after_commit")
        if outcome.claim is not None:
            step = asyncio.create_task(self._step(outcome.claim))
            self._steps.add(step)
            step.add_done_callback(self._steps.discard)
            await asyncio.wait({step}, timeout=max(0.0, until - time.monotonic()))
        return await self._await_end(command, outcome, until)

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._steps)

    async def _step(self, claim: Claim) -> None:
        """The request's own attempt; what it leaves undone a worker takes over."""
        try:
            left = await cancel_claimed(self._parts, [claim])
        except Exception as error:
            if not isinstance(error, NeighbourUnavailable):
                log.error("cancellation_not_decided", error=type(error).__name__, exc_info=True)
            left = {claim.id: Again("left by the request")}
        if claim.id in left:
            try:
                async with self._parts.database.transaction() as conn:
                    await self._parts.tasks.defer(conn, [(claim, left[claim.id])])
            except Exception as error:  # noqa: BLE001 - the lease ends by itself
                log.warning("leases_not_given_up", error=type(error).__name__)

    async def _await_end(self, command: Cancel, asked: Asked, until: float) -> Answer:
        pause = LOOK_AGAIN_SECONDS
        while True:
            try:
                async with self._parts.database.transaction() as conn:
                    redemption = (await store.read(conn, [asked.redemption_id]))[asked.redemption_id]
                    document = (await documents.read(conn, [asked.document_id]))[asked.document_id]
                    if document.state is not ReturnState.REQUESTED:
                        return await _keep(self._parts, conn, command, await _answer(conn, command, redemption, document))
                    undecided = command.writer.undecided(await read_whole(conn, redemption))
            except (Overloaded, DatabaseUnavailable):  # it is on record all the same
                if time.monotonic() >= until:
                    raise
            else:
                if time.monotonic() >= until:
                    return undecided
            await asyncio.sleep(max(0.0, min(pause, until - time.monotonic())))
            pause = min(2 * pause, LOOK_AGAIN_SECONDS_MAX)


async def ask(parts: Parts, conn: AsyncConnection, command: Cancel) -> Answer | Asked:
    """The first commit: the wish is on record, or it is answered at once. Raises NotFound and what the key raises."""
    started = await parts.clock.now(conn)
    attempt = command.attempt
    is_new = attempt.key in await parts.keys.begin(conn, started, [(attempt, None)])
    record = None if is_new else (await parts.keys.read(conn, [attempt.key]))[attempt.key]
    if record is not None and (kept := _kept(record, attempt)) is not None:
        return kept
    redemption = (await store.lock(conn, [command.redemption_id])).get(command.redemption_id)
    if redemption is None:
        raise NotFound
    await require_owner(conn, command.who, redemption.customer_id)
    # Every answer shows the redemption, also where there is nothing left to cancel.
    await parts.audit.look(conn, parts.clock, command.who, redemption.customer_id, f"redemption:{redemption.id}")
    if record is not None:
        return await _stands(parts, conn, command, redemption, record)
    outcome = await _decide(parts, conn, command, redemption)
    if isinstance(outcome, Answer):
        outcome = await _keep(parts, conn, command, outcome)
    else:
        await parts.keys.refer(conn, attempt.key, outcome.document_id)
    await failpoint("cancel.before_commit")
    return outcome


def _kept(record: Record, attempt: Attempt) -> Answer | None:
    if record.fingerprint != attempt.fingerprint:
        raise IdempotencyKeyReused
    if record.status is None or record.body is None:
        return None
    return Answer(record.status, bytes(record.body), record.location, replayed=True)


async def _stands(parts: Parts, conn: AsyncConnection, command: Cancel, redemption: Redemption, record: Record) -> Answer:
    """What somebody is told who asks again before they had an answer."""
    assert record.resource_id is not None, "a key without an answer refers to the document that will give one"
    document = (await documents.read(conn, [record.resource_id]))[record.resource_id]
    if document.state is not ReturnState.REQUESTED:
        return await _keep(parts, conn, command, await _answer(conn, command, redemption, document))
    if (await parts.clock.now(conn) - record.created_at).total_seconds() < IN_FLIGHT_SECONDS:
        raise IdempotencyInFlight
    return command.writer.undecided(await read_whole(conn, redemption))


async def _decide(parts: Parts, conn: AsyncConnection, command: Cancel, redemption: Redemption) -> Answer | Asked:
    """What the wish does, under the redemption's lock."""
    match redemption.state:
        case State.ACCEPTED:
            lines = (await store.read_lines(conn, [redemption.id]))[redemption.id]
            step = Step(redemption, lines, None, Event.CANCEL_ASKED, actor=command.actor)
            [cancelled] = await take_arrows(parts, conn, [step])
            return command.writer.whole(await read_whole(conn, cancelled))
        case State.CONFIRMED | State.DELIVERING:
            if await _has_left(conn, redemption):
                return _too_late(command, redemption)
            return await _begin(parts, conn, command, redemption)
        case State.CANCELLING:
            document = (await documents.read_requested(conn, [redemption.id]))[redemption.id]
            return Asked(document.id, redemption.id, None)
        case State.CANCELLED:
            return command.writer.whole(await read_whole(conn, redemption))
        case _:
            return _too_late(command, redemption)


async def _has_left(conn: AsyncConnection, redemption: Redemption) -> bool:
    """Whether nothing of it waits any more, as far as fulfillment has told: parts only move on, so it need not be asked."""
    delivery = (await deliveries.read(conn, [redemption.id])).get(redemption.id)
    if delivery is None:
        return False
    numbers = [row["number"] for row in (await store.read_lines(conn, [redemption.id]))[redemption.id]]
    return not may_still_be_stopped(numbers, Report(redemption.id, delivery.fulfillment_version, delivery.parts))


async def _begin(parts: Parts, conn: AsyncConnection, command: Cancel, redemption: Redemption) -> Asked:
    """Write down who asked and why, and the task that asks fulfillment, leased to this request."""
    now = await parts.clock.now(conn)
    state, _ = decide(redemption.state, Event.CANCEL_ASKED)
    changed = replace(redemption, state=state, events_count=redemption.events_count + 1, changed_at=now)
    document = _requested(command, now)
    await store.save(conn, [changed], now)
    await documents.insert(conn, [document])
    facts = {"reason": command.actor.reason}
    entry = TimelineEntry(changed.events_count, now, state.value, command.actor.name, facts)
    await store.insert_events(conn, [(redemption.id, entry)])
    before, after = {"state": redemption.state.value}, {"state": state.value, "return": str(document.id)}
    subject = f"redemption:{redemption.id}"
    await parts.audit.record(conn, now, [Entry(f"redemption.{state.value}", subject, command.actor, before, after)])
    task = NewTask(
        kind=TASK_FOR[Command.STOP],
        ref=redemption.id,
        run_at=now,
        dedupe_key=str(redemption.id),
        leased_seconds=parts.tasks.lease_seconds,
    )
    claims = await parts.tasks.add(conn, [task])
    return Asked(document.id, redemption.id, claims[0] if claims else None)


def _requested(command: Cancel, now: datetime) -> Return:
    return Return(
        id=new_id(),
        redemption_id=command.redemption_id,
        kind=Kind.CANCELLATION,
        state=ReturnState.REQUESTED,
        reason=command.actor.reason,
        actor=command.actor.name,
        channel=command.actor.channel,
        requested_at=now,
        decided_at=None,
    )


def _too_late(command: Cancel, redemption: Redemption) -> Answer:
    return command.writer.refusal(TooLateToCancel(state=redemption.state.value, redemption_id=str(redemption.id)))


async def _answer(conn: AsyncConnection, command: Cancel, redemption: Redemption, document: Return) -> Answer:
    if document.state is ReturnState.REFUSED:
        return _too_late(command, redemption)
    return command.writer.whole(await read_whole(conn, redemption))


async def _keep(parts: Parts, conn: AsyncConnection, command: Cancel, answer: Answer) -> Answer:
    """Keep it under the key. Somebody who asked again may have been faster: everybody gets the bytes that were kept first."""
    key = command.attempt.key
    await parts.keys.finish(conn, [(key, answer.status, answer.body, answer.location)])
    record = (await parts.keys.read(conn, [key]))[key]
    assert record.status is not None
    assert record.body is not None
    return Answer(record.status, bytes(record.body), record.location)


async def cancel_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Ask fulfillment to stop a set of redemptions, and do what it answers: refund what was stopped, go on with the rest."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    async with parts.database.transaction() as conn:
        waiting = [r.id for r in (await store.read(conn, ids)).values() if r.state is State.CANCELLING]
    reports = await ask_by_halves(waiting, lambda some: parts.fulfillment.cancel(some, DRIVER))
    await failpoint("cancel.after_call")
    done = [claim for claim in claims if claim.ref in reports or claim.ref not in waiting]

    async def commit(some: Sequence[Claim]) -> None:
        async def work(conn: AsyncConnection) -> None:
            # Redemptions before tasks, here alone: whoever asks holds the redemption when they write this very task.
            await store.lock(conn, [claim.ref for claim in some if claim.ref is not None])
            fenced = await parts.tasks.finish(conn, some)
            mine = [claim.ref for claim in some if claim.id in fenced]
            await take_reports(parts, conn, {ref: reports[ref] for ref in mine if ref in reports}, DRIVER)
            await failpoint("stop.before_commit")

        await parts.database.run(work)

    again = await commit_claims(done, commit)
    for claim in claims:
        if claim not in done:
            log.error("answer_not_understood", kind=TASK_FOR[Command.STOP], redemption=str(claim.ref))
            again[claim.id] = NOT_UNDERSTOOD
    return again
