"""Accepting: the first commit of a redemption. The intent is on record before anything happens elsewhere.

One transaction for a set of commands: accounts are locked, books and counters read, every command decided in the order in
which it came, and all that changed written once. A command is accepted whole or refused; a refusal is kept under its key too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.deliveries import store as deliveries
from services.redemption.deliveries.domain import GOODS
from services.redemption.parts import Parts
from services.redemption.points import store as ledger
from services.redemption.points.domain import Book, Hold
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import DEADLINE, Line, Redemption, State, TimelineEntry, limits_of, take_limits
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.commands import Answer, Redeem, Writer
from shared.audit import Entry
from shared.errors import DomainError
from shared.failpoints import failpoint
from shared.idempotency import Attempt, Record
from shared.problems import IdempotencyInFlight, IdempotencyKeyReused
from shared.statements import together
from shared.tasks import Claim, NewTask

IN_FLIGHT_SECONDS = 3.0


class AccountBusy(Exception):
    """Another transaction has the account; this command waits for it in a lane of its own."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A redemption on record, with the lease under which this request drives it."""

    command: Redeem
    redemption: Redemption
    lines: Sequence[LineRow]
    claim: Claim


@dataclass(slots=True)
class _Round:
    """What one transaction decided."""

    now: datetime
    today: date
    outcomes: dict[UUID, Accepted | Answer | Exception] = field(default_factory=dict)
    accepted: list[tuple[Redeem, Redemption]] = field(default_factory=list)
    lines: dict[UUID, list[LineRow]] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    counters: dict[tuple[UUID, str], int] = field(default_factory=dict)


async def accept(
    parts: Parts, conn: AsyncConnection, commands: Sequence[Redeem], *, wait: bool
) -> list[Accepted | Answer | Exception]:
    """Accept or refuse each command. Without `wait`, those whose account is locked elsewhere come back as AccountBusy."""
    books = await ledger.lock_books(conn, [c.customer.account_id for c in commands], wait=wait)
    now = await parts.clock.now(conn)  # after the locks, so that an account's instants are in order
    round_ = _Round(now, parts.day(now))
    mine = await _take_keys(parts, conn, round_, [c for c in commands if c.customer.account_id in books])
    taken = await _read_counters(conn, mine, round_.today)
    for command in mine:
        _decide(command, books[command.customer.account_id], taken.setdefault(command.customer.id, {}), round_)
    async with together(conn):
        await _keep_refusals(parts, conn, mine, round_)
        await _write(parts, conn, books, round_)
        claims = await _lease(parts, conn, round_)
    for command, redemption in round_.accepted:
        lines = round_.lines[command.id]
        round_.outcomes[command.id] = Accepted(command, redemption, lines, claims[redemption.id])
    await failpoint("accept.before_commit")
    return [round_.outcomes.get(command.id) or AccountBusy() for command in commands]


async def _take_keys(parts: Parts, conn: AsyncConnection, round_: _Round, commands: Sequence[Redeem]) -> list[Redeem]:
    """The commands whose keys are new. The others are answered from what is kept (G27-G29)."""
    first: dict[bytes, Redeem] = {}
    for command in commands:
        first.setdefault(command.attempt.key, command)
    fresh = await parts.keys.begin(conn, round_.now, [(c.attempt, c.id) for c in first.values()])
    mine = [c for c in first.values() if c.attempt.key in fresh]
    for command in commands:
        if first[command.attempt.key] is not command and command.attempt.key in fresh:
            # Twice in one set: the first has only just begun.
            same = first[command.attempt.key].attempt.fingerprint == command.attempt.fingerprint
            round_.outcomes[command.id] = IdempotencyInFlight() if same else IdempotencyKeyReused()
    known = [c for c in commands if c.attempt.key not in fresh]
    records = await parts.keys.read(conn, [c.attempt.key for c in known]) if known else {}
    for command in known:
        record = records[command.attempt.key]
        round_.outcomes[command.id] = await answer_again(parts, conn, round_.now, (command.attempt, command.writer), record)
    return mine


async def answer_again(
    parts: Parts, conn: AsyncConnection, now: datetime, asked: tuple[Attempt, Writer], record: Record
) -> Answer | Exception:
    """What a request is told whose key is known: what is kept, or how the redemption stands."""
    attempt, writer = asked
    if record.fingerprint != attempt.fingerprint:
        return IdempotencyKeyReused()
    if record.status is not None and record.body is not None:
        return Answer(record.status, bytes(record.body), record.location, replayed=True)
    assert record.resource_id is not None
    redemption = (await store.read(conn, [record.resource_id]))[record.resource_id]
    lines = (await store.read_lines(conn, [redemption.id]))[redemption.id]
    if redemption.state is not State.ACCEPTED:  # a worker brought it to its end: what it says now is kept from here on
        answer = writer.redemption(redemption, lines)
        await parts.keys.finish(conn, [(attempt.key, answer.status, answer.body, answer.location)])
        return answer
    if (now - record.created_at).total_seconds() < IN_FLIGHT_SECONDS:
        return IdempotencyInFlight()
    return writer.under_way(redemption, lines)


async def _read_counters(conn: AsyncConnection, commands: Sequence[Redeem], today: date) -> dict[UUID, dict[str, int]]:
    asked = {
        (command.customer.id, limit.key)
        for command in commands
        for line in command.lines
        for limit in limits_of(line.offer, today)
    }
    return await store.read_counters(conn, sorted(asked))


def _decide(command: Redeem, book: Book, taken: dict[str, int], round_: _Round) -> None:
    """Take limits and points for one command, or note its refusal. What it was refused leaves no trace in the book."""
    before = dict(taken)
    try:
        limits = take_limits(command.lines, round_.today, taken)
        holds = book.hold(command.id, command.price_points, round_.now, round_.today)
    except DomainError as refusal:
        taken.clear()
        taken.update(before)
        round_.outcomes[command.id] = command.writer.refusal(refusal)
        return
    round_.holds.extend(holds)
    for key, quantity in limits.items():
        at = (command.customer.id, key)
        round_.counters[at] = round_.counters.get(at, 0) + quantity
    redemption = Redemption(
        id=command.id,
        customer_id=command.customer.id,
        account_id=command.customer.account_id,
        campaign=command.campaign,
        mode="points",
        state=State.ACCEPTED,
        price_points=command.price_points,
        accepted_at=round_.now,
        accepted_on=round_.today,
        deadline_at=round_.now + DEADLINE,
        changed_at=round_.now,
        events_count=1,
        reasons=[],
        actor=command.actor.name,
        channel=command.actor.channel,
    )
    round_.accepted.append((command, redemption))


async def _keep_refusals(parts: Parts, conn: AsyncConnection, commands: Sequence[Redeem], round_: _Round) -> None:
    refused = [(c.attempt.key, a) for c in commands if isinstance(a := round_.outcomes.get(c.id), Answer)]
    await parts.keys.finish(conn, [(key, answer.status, answer.body, answer.location) for key, answer in refused])


async def _write(parts: Parts, conn: AsyncConnection, books: dict[UUID, Book], round_: _Round) -> None:
    accepted = round_.accepted
    await store.insert_redemptions(conn, [redemption for _, redemption in accepted])
    round_.lines = {command.id: _line_rows(command, round_.today) for command, _ in accepted}
    await store.insert_lines(conn, [row for lines in round_.lines.values() for row in lines])
    await deliveries.insert(conn, [(r.id, c.delivery) for c, r in accepted if c.delivery is not None], round_.now)
    await ledger.save_books(conn, books.values())
    await ledger.insert_holds(conn, round_.holds)
    await store.add_to_counters(conn, round_.counters)
    await store.insert_events(
        conn,
        [(r.id, TimelineEntry(1, round_.now, "accepted", c.actor.name, {"points": r.price_points})) for c, r in accepted],
    )
    await parts.audit.record(
        conn,
        round_.now,
        [
            Entry(
                "redemption.accepted", f"redemption:{r.id}", c.actor, after={"points": r.price_points, "campaign": r.campaign}
            )
            for c, r in accepted
        ],
    )


async def _lease(parts: Parts, conn: AsyncConnection, round_: _Round) -> dict[UUID | None, Claim]:
    """The tasks that carry the redemptions on; they begin in the hands of this very request."""
    drives = [
        NewTask(
            kind="drive",
            ref=r.id,
            run_at=round_.now,
            dedupe_key=str(r.id),
            leased_seconds=parts.tasks.lease_seconds,
        )
        for _, r in round_.accepted
    ]
    return {claim.ref: claim for claim in await parts.tasks.add(conn, drives)}


def _line_rows(command: Redeem, today: date) -> list[LineRow]:
    return [
        {
            "redemption_id": command.id,
            "number": line.number,
            "offer_id": line.offer.id,
            "offer_version": line.offer.version,
            "reward": _reward(line),
            "quantity": line.quantity,
            "unit_points": line.offer.price_points,
            "limit_keys": [limit.key for limit in limits_of(line.offer, today)],
        }
        for line in command.lines
    ]


def _reward(line: Line) -> dict[str, Any]:
    """What the line keeps of its reward; only of goods it says of which kind they are, since e-vouchers are the rule."""
    kept = {"code": line.offer.reward["code"], "names": dict(line.offer.names)}
    return {**kept, "kind": GOODS} if line.offer.reward["kind"] == GOODS else kept
