"""After the pivot only forward: have it handed out, then tell the catalog; and release what a decline left in doubt.

Each is a task; each calls once for a set and then commits once, the fence first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers import store as customers
from services.redemption.customers.domain import Customer
from services.redemption.neighbours.fulfillment import Delivery
from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import TASK_FOR, TASK_OF, Event, Redemption, State, TimelineEntry, decide
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.drive import DRIVER, follow_up
from shared.audit import Entry
from shared.failpoints import failpoint
from shared.http_client import Refused
from shared.problems import NeighbourUnavailable
from shared.tasks import Again, Claim

STRANDED_AFTER = timedelta(seconds=60)
NOT_UNDERSTOOD = Again("the answer was not understood", after_seconds=60.0)

log = structlog.get_logger()


async def fulfil_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Ask fulfillment for a set of redemptions, and mirror what it has handed out."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    async with parts.database.transaction() as conn:
        found = [r for r in (await store.read(conn, ids)).values() if r.state is State.CONFIRMED]
        lines = await store.read_lines(conn, ids)
        people = await customers.find_by_ids(conn, [r.customer_id for r in found])
    items, unasked = await _items(parts, [(r, lines[r.id], people[r.customer_id]) for r in found])
    deliveries = await _ask(parts, items)
    await failpoint("fulfil.after_call")
    done = {r.id for r in found if r.id in deliveries and deliveries[r.id].outcome == "accepted"}
    claims_done = [c for c in claims if c.ref in done or c.ref not in {r.id for r in found}]

    async def work(conn: AsyncConnection) -> None:
        fenced = await parts.tasks.finish(conn, claims_done)
        handed_out = [c.ref for c in claims_done if c.id in fenced and c.ref in done and deliveries[c.ref].state == "issued"]
        await _mark_fulfilled(parts, conn, [ref for ref in handed_out if ref is not None])
        await failpoint("fulfil.before_commit")

    await parts.database.run(work)
    later = {claim.id: Again("the catalog did not answer") for claim in claims if claim.ref in unasked}
    return {**_not_done(claims, claims_done, "fulfil", known=later), **later}


async def _items(
    parts: Parts, asked: Sequence[tuple[Redemption, Sequence[LineRow], Customer]]
) -> tuple[list[dict[str, Any]], set[UUID]]:
    """What is asked for, and those whose offer nobody could tell just now. One in trouble does not hold up the others."""
    items: list[dict[str, Any]] = []
    unasked: set[UUID] = set()
    for redemption, lines, person in asked:
        if unasked:  # the catalog is away: asking again for each would take longer than the whole set may
            unasked.add(redemption.id)
            continue
        try:
            items.append(await _item(parts, redemption, lines, person))
        except NeighbourUnavailable:
            unasked.add(redemption.id)
        except (LookupError, Refused) as error:
            log.warning("offer_not_understood", redemption=str(redemption.id), error=type(error).__name__)
    return items, unasked


async def _ask(parts: Parts, items: Sequence[dict[str, Any]]) -> Mapping[UUID, Delivery]:
    """One call for a set. When fulfillment cannot read it, by halves, until only the one that it cannot read is left out."""
    if not items:
        return {}
    try:
        return await parts.fulfillment.accept(items, DRIVER)
    except Refused:
        if len(items) == 1:
            return {}
        half = len(items) // 2
        return {**await _ask(parts, items[:half]), **await _ask(parts, items[half:])}


async def _item(parts: Parts, redemption: Redemption, lines: Sequence[LineRow], person: Customer) -> dict[str, Any]:
    """One redemption as fulfillment wants it; what the reward is comes from the version of the offer that was redeemed."""
    wanted = []
    for row in lines:
        offer = await parts.catalog.offer(row["offer_id"], row["offer_version"])
        if offer is None:
            raise LookupError(f"offer {row['offer_id']} version {row['offer_version']} is gone")
        reward = offer.reward
        wanted.append(
            {
                "number": row["number"],
                "quantity": row["quantity"],
                "kind": reward["kind"],
                "reward": {"code": reward["code"], "names": reward["names"]},
                "voucher": offer.voucher,
            }
        )
    return {
        "id": redemption.id,
        "customer_id": redemption.customer_id,
        "owner": {"issuer": person.issuer, "subject": person.subject},
        "campaign": redemption.campaign,
        "lines": wanted,
    }


async def _mark_fulfilled(parts: Parts, conn: AsyncConnection, ids: Sequence[UUID]) -> None:
    locked = [r for r in (await store.lock(conn, ids)).values() if r.state is State.CONFIRMED]
    now = await parts.clock.now(conn)
    changed = [
        replace(r, state=decide(r.state, Event.DELIVERED)[0], events_count=r.events_count + 1, changed_at=now) for r in locked
    ]
    await store.save(conn, changed, now)
    await store.insert_events(conn, [(r.id, TimelineEntry(r.events_count, now, "fulfilled", DRIVER.name, {})) for r in changed])
    entries = [Entry("redemption.fulfilled", f"redemption:{r.id}", DRIVER, after={"state": "fulfilled"}) for r in changed]
    await parts.audit.record(conn, now, entries)
    commands = decide(State.CONFIRMED, Event.DELIVERED)[1]
    await parts.tasks.add(conn, [follow_up(TASK_FOR[command], r.id, now) for r in changed for command in commands])


async def consume_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Tell the catalog that what was held has been handed out."""
    outcomes = await parts.catalog.consume([claim.ref for claim in claims if claim.ref is not None], DRIVER)
    return await _finish(parts, claims, {ref for ref, o in outcomes.items() if o.outcome == "consumed"}, "consume")


async def release_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Release what a declined redemption may hold; an attempt that comes later meets the tombstone."""
    outcomes = await parts.catalog.release([claim.ref for claim in claims if claim.ref is not None], DRIVER)
    return await _finish(parts, claims, {ref for ref, o in outcomes.items() if o.outcome == "released"}, "release")


async def _finish(parts: Parts, claims: Sequence[Claim], done: set[UUID], kind: str) -> dict[UUID, Again]:
    await failpoint(f"{kind}.after_call")
    finished = [claim for claim in claims if claim.ref in done]
    async with parts.database.transaction() as conn:
        await parts.tasks.finish(conn, finished)
    return _not_done(claims, finished, kind)


def _not_done(
    claims: Sequence[Claim], done: Sequence[Claim], kind: str, *, known: Mapping[UUID, Again] | None = None
) -> dict[UUID, Again]:
    """Those that are left for a reason that nobody understood: an alarm, and another look in a minute."""
    finished = {claim.id for claim in done} | (known or {}).keys()
    left = [claim for claim in claims if claim.id not in finished]
    for claim in left:
        log.error("answer_not_understood", kind=kind, redemption=str(claim.ref))
    return {claim.id: NOT_UNDERSTOOD for claim in left}


async def sweep_claimed(parts: Parts, claims: Sequence[Claim]) -> None:
    """Write the missing task of every live redemption that has none, so that a lost row strands nobody (G19)."""
    async with parts.database.transaction() as conn:
        await parts.tasks.finish(conn, claims)
        now = await parts.clock.now(conn)
        stranded = await store.read_stranded(conn, before=now - STRANDED_AFTER, most=1000)
        for redemption_id, state in stranded:
            log.error("redemption_without_task", redemption=str(redemption_id), state=state.value)
        await parts.tasks.add(conn, [follow_up(TASK_OF[state], redemption_id, now) for redemption_id, state in stranded])
