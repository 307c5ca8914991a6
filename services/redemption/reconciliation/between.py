"""Comparing the three services' books with each other, page by page in the order of the redemptions' ids (P4, G8).

Only a page of each is in memory at a time. Neighbours are read first: what they have was caused by a redemption, which is then
surely seen. Nothing is read at one moment, so a difference counts only when it still stands a while later.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text

from services.redemption.parts import Parts
from services.redemption.reconciliation.domain import Break, lasting
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import Redemption, State
from services.redemption.returns import store as documents
from shared.books import take_snapshot

PAGE = 1_000
SPENT = (State.CONFIRMED, State.DELIVERING, State.CANCELLING, State.FULFILLED, State.RETURNED)
HANDED_OUT = (State.FULFILLED, State.RETURNED)
NEVER_HANDED_OUT = (State.DECLINED, State.CANCELLED)
T = TypeVar("T")
IN_TIME = timedelta(seconds=60)
"""How long after a redemption's end its reservation may still be held: the task that ends it is on its way."""
UNHEARD_AFTER = timedelta(hours=2)
"""Fulfillment tells of an end at once, and every hour redemption looks by itself: after two of them both have failed."""
ENDED_AS = {State.FULFILLED: ("issued", "completed"), State.RETURNED: ("returned",)}
"""How the fulfillment of a redemption ended that is at its end. Of one that is cancelled nothing may have been handed out."""
ENDED = frozenset({"issued", "completed", "returned", "cancelled"})
_NOW = text("SELECT clock_timestamp()")
_WENT_OUT = text("SELECT redemption_id FROM redemption_deliveries WHERE went_out AND redemption_id = ANY(CAST(:ids AS uuid[]))")
_TASKS = text("SELECT ref || ' ' || kind FROM tasks WHERE ref = ANY(CAST(:ids AS uuid[])) AND state <> 'done'")


@dataclass(frozen=True, slots=True)
class Compared:
    """What a page says: how many of each were compared, what does not fit, and the id after which the next one begins."""

    redemptions: int
    reservations: int
    fulfillments: int
    following: UUID | None
    breaks: list[Break] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Books:
    """A page of everything, not of one moment."""

    now: datetime
    tasks: frozenset[str]
    redemptions: dict[UUID, Redemption]
    reservations: dict[UUID, dict[str, Any]]
    fulfillments: dict[UUID, dict[str, Any]]
    returned: dict[UUID, dict[int, int]]
    """How many units of each line came back, by redemption and line."""
    went_out: frozenset[UUID]
    """Redemptions of which some goods have left."""
    following: UUID | None


async def compare_page(parts: Parts, after: UUID, *, settle_seconds: float) -> Compared:
    """Compare a page; when something does not fit, look again a little later and report what still does not."""
    books = await _read(parts, after)
    breaks = list(_compare(books))
    if breaks:
        await asyncio.sleep(settle_seconds)
        breaks = lasting(breaks, await _look_again(parts, after, books.following))
    counts = len(books.redemptions), len(books.reservations), len(books.fulfillments)
    return Compared(*counts, books.following, breaks)


async def _look_again(parts: Parts, after: UUID, until: UUID | None) -> list[Break]:
    """The same stretch once more; rows that came meanwhile may make it more than a page."""
    found: list[Break] = []
    while True:
        books = await _read(parts, after)
        found += _compare(books)
        if books.following is None or (until is not None and books.following >= until):
            return found
        after = books.following


async def _read(parts: Parts, after: UUID) -> _Books:
    """A page of each, cut where the first full one of them ends."""
    reservations = {UUID(item["id"]): item for item in await parts.catalog.reservations_after(after, PAGE)}
    fulfillments = {UUID(item["id"]): item for item in await parts.fulfillment.fulfillments_after(after, PAGE)}
    async with parts.database.transaction() as conn:
        await take_snapshot(conn)
        redemptions = {redemption.id: redemption for redemption in await store.read_after(conn, after, PAGE)}
        returned = await documents.read_returned(conn, list(redemptions))
        went_out = frozenset((await conn.execute(_WENT_OUT, {"ids": list(redemptions)})).scalars())
        now = (await conn.execute(_NOW)).scalar_one()
        tasks = (await conn.execute(_TASKS, {"ids": list(redemptions)})).scalars()
        under_way = frozenset(tasks)
    ends = [max(page) for page in (reservations, fulfillments, redemptions) if len(page) == PAGE]
    end = min(ends, default=None)
    return _Books(
        now=now,
        tasks=under_way,
        redemptions=_until(redemptions, end),
        reservations=_until(reservations, end),
        fulfillments=_until(fulfillments, end),
        returned=_until(returned, end),
        went_out=went_out,
        following=end,
    )


def _until(page: dict[UUID, T], end: UUID | None) -> dict[UUID, T]:
    return page if end is None else {key: value for key, value in page.items() if key <= end}


def _compare(books: _Books) -> Iterator[Break]:
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

    if redemption.state in SPENT and held not in ("held", "consumed"):
        yield Break("catalog", "redemption-without-reservation", subject, f"{redemption.state}, the reservation is {held}")
    is_out = redemption.state in HANDED_OUT or (redemption.state is State.DELIVERING and redemption.id in books.went_out)
    if is_out and held == "held" and ended_long_ago and not under_way("consume"):
        yield Break("catalog", "reservation-not-consumed", subject, f"{redemption.state}, and still held")
    if redemption.state in NEVER_HANDED_OUT and held in ("held", "consumed") and ended_long_ago and not under_way("release"):
        yield Break("catalog", "reservation-not-released", subject, f"{redemption.state}, the reservation is {held}")
    if redemption.state in SPENT and not under_way("give_back"):
        yield from _compare_returns(books, redemption)
    yield from _compare_fulfillment(books, redemption, waits=under_way("fulfil"))


def _compare_returns(books: _Books, redemption: Redemption) -> Iterator[Break]:
    lines = books.reservations.get(redemption.id, {}).get("lines", ())
    theirs = {line["number"]: line["returned"] for line in lines if line["returned"]}
    ours = books.returned.get(redemption.id, {})
    if theirs != ours:
        detail = f"back came, by line, {ours}; the catalog got {theirs}"
        yield Break("catalog", "returns-differ", str(redemption.id), detail)


def _compare_fulfillment(books: _Books, redemption: Redemption, *, waits: bool) -> Iterator[Break]:
    fulfillment, subject = books.fulfillments.get(redemption.id), str(redemption.id)
    if fulfillment is None:
        if redemption.state in (*HANDED_OUT, State.DELIVERING):
            yield Break("fulfillment", "redemption-without-fulfillment", subject, f"{redemption.state}, says redemption")
        if redemption.state is State.CONFIRMED and not waits:
            yield Break("fulfillment", "redemption-without-fulfillment", subject, "confirmed, and nothing asks for it")
    elif redemption.state in (State.ACCEPTED, State.DECLINED):
        yield Break("fulfillment", "fulfillment-without-redemption", subject, f"the redemption is {redemption.state}")
    elif redemption.state in ENDED_AS and fulfillment["state"] not in ENDED_AS[redemption.state]:
        detail = f"{redemption.state}, and the fulfillment is {fulfillment['state']}"
        yield Break("fulfillment", "redemption-and-fulfillment-differ", subject, detail)
    elif redemption.state is State.DELIVERING and _ended_long_ago(books, fulfillment):
        detail = f"delivering, and the fulfillment is {fulfillment['state']} since {fulfillment['changed_at']}"
        yield Break("fulfillment", "delivery-unheard", subject, detail)
    elif redemption.state is State.CANCELLED and fulfillment["state"] != "cancelled":
        detail = f"cancelled, and the fulfillment is {fulfillment['state']}"
        yield Break("fulfillment", "fulfillment-without-redemption", subject, detail)


def _ended_long_ago(books: _Books, fulfillment: dict[str, Any]) -> bool:
    changed_at = datetime.fromisoformat(fulfillment["changed_at"])
    return fulfillment["state"] in ENDED and changed_at < books.now - UNHEARD_AFTER
