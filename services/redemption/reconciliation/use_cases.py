"""Reconciling: three services' books, each with itself and all with each other, through their APIs (P4, G8)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.redemption.parts import Parts
from services.redemption.reconciliation.domain import Break, lasting
from services.redemption.reconciliation.own_books import BOOKS
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import Redemption, State
from shared.books import take_snapshot

PAGE = 500
FIRST = UUID(int=0)
SETTLE_SECONDS = 3.0
IN_TIME = timedelta(seconds=60)
"""How long after a redemption's end its reservation may still be held: the task that ends it is on its way."""
_NOW_AND_TASKS = text(
    "SELECT clock_timestamp() AS now, coalesce(array_agg(ref || ' ' || kind) FILTER (WHERE ref IS NOT NULL), '{}') AS tasks "
    "FROM tasks WHERE state <> 'done' AND kind IN ('fulfil', 'consume', 'release')"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and what does not fit."""

    redemptions: int
    reservations: int
    fulfillments: int
    breaks: list[Break]


@dataclass(frozen=True, slots=True)
class _Books:
    """One reading of everything, not of one moment."""

    now: datetime
    tasks: frozenset[str]
    redemptions: dict[UUID, Redemption]
    reservations: dict[UUID, dict[str, Any]]
    fulfillments: dict[UUID, dict[str, Any]]
    own: list[Break]


async def reconcile(parts: Parts, *, settle_seconds: float = SETTLE_SECONDS) -> Report:
    """Compare all books; when something does not fit, look again a little later and report what still does not."""
    books = await _read(parts)
    breaks = list(_compare(books))
    if breaks:
        await asyncio.sleep(settle_seconds)
        books = await _read(parts)
        breaks = lasting(breaks, _compare(books))
    return Report(len(books.redemptions), len(books.reservations), len(books.fulfillments), sorted(breaks))


async def _read(parts: Parts) -> _Books:
    """Neighbours first: what they have was caused by a redemption, which is then surely seen."""
    reservations = await _pages(parts.catalog.reservations_after)
    fulfillments = await _pages(parts.fulfillment.fulfillments_after)
    neighbours = [Break("catalog", b["kind"], b["subject"], b["detail"]) for b in await parts.catalog.breaks()]
    neighbours += [Break("fulfillment", b["kind"], b["subject"], b["detail"]) for b in await parts.fulfillment.breaks()]
    redemptions: dict[UUID, Redemption] = {}
    async with parts.database.transaction() as conn:
        await take_snapshot(conn)
        while page := await store.read_after(conn, max(redemptions, default=FIRST), PAGE):
            redemptions.update({redemption.id: redemption for redemption in page})
        own = [Break("redemption", *found) for found in await BOOKS.find_breaks_within(conn)]
        row = (await conn.execute(_NOW_AND_TASKS)).one()
    return _Books(row.now, frozenset(row.tasks), redemptions, reservations, fulfillments, [*own, *neighbours])


async def _pages(read: Callable[[UUID, int], Awaitable[Sequence[dict[str, Any]]]]) -> dict[UUID, dict[str, Any]]:
    found: dict[UUID, dict[str, Any]] = {}
    after = FIRST
    while page := await read(after, PAGE):
        found.update({UUID(item["id"]): item for item in page})
        after = UUID(page[-1]["id"])
    return found


def _compare(books: _Books) -> Iterator[Break]:
    yield from books.own
    for redemption_id, reservation in books.reservations.items():
        if redemption_id not in books.redemptions and reservation["state"] in ("held", "consumed"):
            detail = f"the catalog's is {reservation['state']}"
            yield Break("catalog", "reservation-without-redemption", str(redemption_id), detail)
    for redemption_id in books.fulfillments.keys() - books.redemptions.keys():
        yield Break("fulfillment", "fulfillment-without-redemption", str(redemption_id), "nobody redeemed it")
    for redemption in books.redemptions.values():
        yield from _compare_one(books, redemption)


def _compare_one(books: _Books, redemption: Redemption) -> Iterator[Break]:
    held = books.reservations.get(redemption.id, {}).get("state")
    subject, ended_long_ago = str(redemption.id), redemption.changed_at < books.now - IN_TIME

    def under_way(kind: str) -> bool:
        return f"{redemption.id} {kind}" in books.tasks

    if redemption.state in (State.CONFIRMED, State.FULFILLED) and held not in ("held", "consumed"):
        yield Break("catalog", "redemption-without-reservation", subject, f"{redemption.state}, the reservation is {held}")
    if redemption.state is State.FULFILLED and held == "held" and ended_long_ago and not under_way("consume"):
        yield Break("catalog", "reservation-not-consumed", subject, "handed out, and still held")
    if redemption.state is State.DECLINED and held in ("held", "consumed") and ended_long_ago and not under_way("release"):
        yield Break("catalog", "reservation-not-released", subject, f"declined, the reservation is {held}")
    fulfillment = books.fulfillments.get(redemption.id)
    if fulfillment is None and redemption.state is State.FULFILLED:
        yield Break("fulfillment", "redemption-without-fulfillment", subject, "handed out, says redemption")
    if fulfillment is None and redemption.state is State.CONFIRMED and not under_way("fulfil"):
        yield Break("fulfillment", "redemption-without-fulfillment", subject, "confirmed, and nothing asks for it")
    if fulfillment is not None and redemption.state in (State.ACCEPTED, State.DECLINED):
        yield Break("fulfillment", "fulfillment-without-redemption", subject, f"the redemption is {redemption.state}")
