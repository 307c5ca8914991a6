"""Reserve, release and consume for many redemptions at once: each call is one transaction of set-based statements.

Lock first, read then, decide in plain Python, write net changes once. The order of locks: headers by id, budget lines, quotas,
stock batches. All three are safe to repeat.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.reservations import store
from services.catalog.reservations.domain import (
    BatchCounter,
    BudgetCounter,
    Decision,
    Outcome,
    QuotaCounter,
    State,
    Supply,
    Wish,
    decide,
)
from services.catalog.reservations.places import give_places_back
from services.catalog.stock import store as stock
from services.catalog.stock.store import Movement
from shared.audit import Actor, Audit, Entry
from shared.clock import Clock, bank_day
from shared.database import Database
from shared.failpoints import failpoint
from shared.statements import together


@dataclass(frozen=True, slots=True)
class Settlement:
    """A redemption whose reservation is to be released or consumed."""

    id: UUID
    actor: Actor


class Reservations:
    """The use cases of reservations."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, timezone: ZoneInfo) -> None:
        """Days are those of `timezone`, the bank's."""
        self._database = database
        self._clock = clock
        self._audit = audit
        self._timezone = timezone

    async def reserve(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """Take stock, quota and budget for each wish, or refuse it with reasons (K7, G9, G10).

        A wish that was answered before gets the same answer; another wish under a known id is a mismatch and changes nothing.
        """
        first: dict[UUID, Wish] = {}
        for wish in wishes:
            first.setdefault(wish.id, wish)
        async with self._database.transaction() as conn:
            outcomes, known = await self._reserve(conn, list(first.values()))
            await failpoint("reserve.before_commit")
        await failpoint("reserve.after_commit")
        return [
            _replayed(wish, known[wish.id]) if wish.id in known else _folded(wish, first[wish.id], outcomes[wish.id])
            for wish in wishes
        ]

    async def _reserve(
        self, conn: AsyncConnection, wishes: Sequence[Wish]
    ) -> tuple[dict[UUID, Outcome], dict[UUID, Mapping[str, Any]]]:
        """What became of the wishes whose ids are new, and the headers of the others."""
        now = await self._clock.now(conn)
        new = await store.take_headers(conn, now, wishes)
        old = [wish.id for wish in wishes if wish.id not in new]
        known = await store.read_headers(conn, old) if old else {}
        outcomes: dict[UUID, Outcome] = {}
        fresh = [wish for wish in wishes if wish.id in new]
        if fresh:
            supply = await self._lock_supply(conn, fresh, now)
            decision = decide(fresh, supply)
            async with together(conn):
                await _write_decision(conn, now, decision, supply)
                await self._audit.record(conn, now, _granted(fresh, decision))
            outcomes = {outcome.id: outcome for outcome in decision.outcomes}
        return outcomes, known

    async def _lock_supply(self, conn: AsyncConnection, wishes: Sequence[Wish], now: datetime) -> Supply:
        offers = {line.offer_id for wish in wishes for line in wish.lines}
        budgets = await stock.lock_budgets(conn, {wish.campaign for wish in wishes})
        quotas = await stock.lock_quotas(conn, offers)
        batches: dict[tuple[str, str], list[BatchCounter]] = defaultdict(list)
        for row in await stock.lock_batches_of_offers(conn, offers):
            key = (row["campaign_code"], row["reward_code"])
            batches[key].append(BatchCounter(row["id"], *key, row["expires_on"], row["free"]))
        for counters in batches.values():
            counters.sort(key=lambda batch: (batch.expires_on is None, batch.expires_on, batch.id))
        quota_of = {row["offer_id"]: QuotaCounter(**row) for row in quotas}
        budget_of = {row["campaign_code"]: BudgetCounter(row["campaign_code"], row["left_minor"]) for row in budgets}
        in_force = await store.offers_in_force(conn, offers)
        return Supply(
            today=bank_day(now, self._timezone),
            # A campaign's very first publication may have ended between our locks and this look: its offers come next time.
            offers={one: o for one, o in in_force.items() if one in quota_of and o.campaign in budget_of},
            quotas=quota_of,
            batches=batches,
            budgets=budget_of,
        )

    async def release(self, items: Sequence[Settlement]) -> list[Outcome]:
        """Give back what is held; an unknown id gets a tombstone, so that a late reserve takes nothing (G10)."""
        first = {item.id: item for item in reversed(items)}
        async with self._database.transaction() as conn:
            now = await self._clock.now(conn)
            left = await store.leave_tombstones(conn, now, first)
            states = await store.lock_headers(conn, first.keys() - left) if len(left) < len(first) else {}
            held = [one for one, state in states.items() if state is State.HELD]
            await self._settle(conn, now, held, State.RELEASED)
            entries = [_settled(first[one], "released") for one in held]
            entries += [_settled(first[one], "released_unknown") for one in sorted(left)]
            await self._audit.record(conn, now, entries)
            await failpoint("release.before_commit")
        consumed = {one for one, state in states.items() if state is State.CONSUMED}
        return [Outcome(item.id, State.CONSUMED if item.id in consumed else State.RELEASED) for item in items]

    async def consume(self, items: Sequence[Settlement]) -> list[Outcome]:
        """Hand out what is held. One that is released or refused stays so; an unknown id is answered as such."""
        first = {item.id: item for item in reversed(items)}
        async with self._database.transaction() as conn:
            now = await self._clock.now(conn)
            states = await store.lock_headers(conn, first)
            held = [one for one, state in states.items() if state is State.HELD]
            await self._settle(conn, now, held, State.CONSUMED)
            await self._audit.record(conn, now, [_settled(first[one], "consumed") for one in held])
            await failpoint("consume.before_commit")
        return [Outcome(item.id, _consumption(states.get(item.id))) for item in items]

    async def _settle(self, conn: AsyncConnection, now: datetime, ids: Sequence[UUID], state: State) -> None:
        """Move locked, held reservations on, with those units, quota and budget that no return document has given back."""
        if not ids:
            return
        lines = await store.lines_of(conn, ids)
        draws = await store.draws_of(conn, ids)
        releasing = state is State.RELEASED
        await _settle_budgets(conn, lines, releasing=releasing)
        if releasing:
            await give_places_back(conn, _places(lines))
        batches: dict[UUID, int] = defaultdict(int)
        for draw in draws:
            batches[draw["batch_id"]] += draw["units_left"]
        changes = {batch: (-quantity, 0 if releasing else quantity) for batch, quantity in batches.items()}
        moved = (Movement(d["batch_id"], state.value, d["units_left"], d["reservation_id"], d["line"]) for d in draws)
        async with together(conn):
            await stock.lock_batches(conn, batches)
            await stock.change_batches(conn, changes)
            await stock.record_movements(conn, now, (one for one in moved if one.quantity))
            await store.settle_headers(conn, now, ids, state)

    async def page(self, after: UUID | None, most: int) -> Sequence[RowMapping]:
        """Reservations in the order of their ids, for whoever compares books."""
        async with self._database.transaction() as conn:
            return await store.page(conn, after, most)


def _folded(wish: Wish, first: Wish, outcome: Outcome) -> Outcome:
    """The second item of a set under one new id is a repeat of the first, or a mismatch."""
    return outcome if wish is first or wish.fingerprint == first.fingerprint else Outcome(wish.id, "mismatch")


def _consumption(state: State | None) -> str:
    if state is None:
        return "unknown"
    return State.CONSUMED if state in (State.HELD, State.CONSUMED) else State.RELEASED


def _replayed(wish: Wish, header: Mapping[str, Any]) -> Outcome:
    if header["fingerprint"] is not None and bytes(header["fingerprint"]) != wish.fingerprint:
        return Outcome(wish.id, "mismatch")
    reasons = tuple(store.reason_from_json(kept) for kept in header["reasons"] or ())
    return Outcome(wish.id, header["state"], reasons)


async def _write_decision(conn: AsyncConnection, now: datetime, decision: Decision, supply: Supply) -> None:
    """Write what was granted and refused: each counter once, with its net change."""
    await store.refuse_headers(conn, [outcome for outcome in decision.outcomes if outcome.outcome == State.REFUSED])
    if not decision.lines:
        return
    await store.write_lines(conn, decision)
    costs: dict[str, int] = defaultdict(int)
    for taken in decision.lines:
        costs[taken.campaign] += taken.cost_minor
    await stock.change_budgets(conn, {campaign: (cost, 0) for campaign, cost in costs.items()})
    counted = [supply.quotas[offer] for offer in {taken.line.offer_id for taken in decision.lines}]
    await stock.set_quotas(conn, {q.offer_id: (q.total_taken, q.day_taken, q.day_on) for q in counted})
    drawn: dict[UUID, int] = defaultdict(int)
    for draw in decision.draws:
        drawn[draw.batch_id] += draw.quantity
    await stock.change_batches(conn, {batch: (quantity, 0) for batch, quantity in drawn.items()})
    moved = (Movement(draw.batch_id, "held", draw.quantity, draw.reservation_id, draw.line) for draw in decision.draws)
    await stock.record_movements(conn, now, moved)


async def _settle_budgets(conn: AsyncConnection, lines: Sequence[Mapping[str, Any]], *, releasing: bool) -> None:
    costs: dict[str, int] = defaultdict(int)
    for line in lines:
        costs[line["campaign_code"]] += line["cost_left_minor"]
    await stock.lock_budgets(conn, costs)
    await stock.change_budgets(conn, {campaign: (-cost, 0 if releasing else cost) for campaign, cost in costs.items()})


def _places(lines: Sequence[Mapping[str, Any]]) -> dict[tuple[UUID, date], int]:
    units: dict[tuple[UUID, date], int] = defaultdict(int)
    for line in lines:
        units[line["offer_id"], line["counted_on"]] += line["units_left"]
    return units


def _granted(wishes: Sequence[Wish], decision: Decision) -> list[Entry]:
    held = {outcome.id for outcome in decision.outcomes if outcome.outcome == State.HELD}
    units: dict[UUID, int] = defaultdict(int)
    for taken in decision.lines:
        units[taken.reservation_id] += taken.line.quantity
    return [
        Entry("reservation.held", f"reservation:{wish.id}", wish.actor, after={"units": units[wish.id]})
        for wish in wishes
        if wish.id in held
    ]


def _settled(item: Settlement, action: str) -> Entry:
    return Entry(f"reservation.{action}", f"reservation:{item.id}", item.actor)
