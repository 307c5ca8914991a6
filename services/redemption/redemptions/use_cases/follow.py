"""After the pivot only forward: have it handed out, then tell the catalog; and release what a decline left in doubt.

Each is a task; each calls once for a set and then commits once, the fence first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers import store as customers
from services.redemption.customers.domain import Customer
from services.redemption.deliveries import store as deliveries
from services.redemption.deliveries.domain import GOODS, Part, PartState, Report, Way
from services.redemption.deliveries.store import SealedDelivery
from services.redemption.deliveries.use_cases import destination
from services.redemption.neighbours.fulfillment import Delivery
from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import TASK_OF, Redemption, State
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.apart import commit_apart, commit_claims
from services.redemption.redemptions.use_cases.drive import DRIVER, WATCHED_EVERY, follow_up
from services.redemption.redemptions.use_cases.outcomes import Known, take_reports
from shared.failpoints import failpoint
from shared.halves import ask_by_halves
from shared.http_client import Refused
from shared.problems import NeighbourUnavailable
from shared.secrets import Unreadable
from shared.tasks import Again, Claim

NO_MATTER_WHEN = datetime.min.replace(tzinfo=UTC)
"""Of e-vouchers alone no part is shown: the timeline says when they were handed out."""
STRANDED_AFTER = timedelta(seconds=60)
NOT_UNDERSTOOD = Again("the answer was not understood", after_seconds=60.0)
LOOK_AGAIN = Again("still under way", after_seconds=WATCHED_EVERY.total_seconds())

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A redemption that is to be handed out, with where its goods go."""

    redemption: Redemption
    lines: Sequence[LineRow]
    person: Customer
    destination: SealedDelivery | None
    data_key: bytes | None


async def fulfil_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Ask fulfillment for a set of redemptions, and mirror what it has handed out or taken in hand."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    async with parts.database.transaction() as conn:
        found = await _read_wanted(conn, ids)
    items, unasked = await _items(parts, list(found.values()))
    answers = await ask_by_halves(items, lambda some: parts.fulfillment.accept(some, DRIVER))
    await failpoint("fulfil.after_call")
    done = {ref: answers[ref] for ref in found if ref in answers and answers[ref].outcome in ("accepted", "cancelled")}
    claims_done = [c for c in claims if c.ref in done or c.ref not in found]
    known = Known({ref: one.lines for ref, one in found.items()}, [r for r, one in found.items() if one.destination])

    async def commit(some: Sequence[Claim]) -> None:
        async def work(conn: AsyncConnection) -> None:
            fenced = await parts.tasks.finish(conn, some)
            mine = [c.ref for c in some if c.id in fenced and c.ref in done]
            reports = {ref: _report(ref, done[ref], found[ref].lines) for ref in mine if ref is not None}
            await take_reports(parts, conn, reports, DRIVER, known)
            await failpoint("fulfil.before_commit")

        await parts.database.run(work)

    later = await commit_claims(claims_done, commit)
    later |= {claim.id: Again("the catalog did not answer") for claim in claims if claim.ref in unasked}
    return {**_not_done(claims, claims_done, "fulfil", known=later), **later}


async def _read_wanted(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, _Wanted]:
    redemptions = [r for r in (await store.read(conn, ids)).values() if r.state is State.CONFIRMED]
    lines = await store.read_lines(conn, ids)
    people = await customers.find_by_ids(conn, [r.customer_id for r in redemptions])
    with_goods = [r for r in redemptions if any(row["reward"].get("kind") == GOODS for row in lines[r.id])]
    sealed = await deliveries.read_sealed(conn, [r.id for r in with_goods]) if with_goods else {}
    contacts = await customers.read_contacts(conn, [r.customer_id for r in with_goods]) if with_goods else {}
    keys = {customer_id: contact.data_key for customer_id, contact in contacts.items()}
    return {
        r.id: _Wanted(r, lines[r.id], people[r.customer_id], sealed.get(r.id), keys.get(r.customer_id)) for r in redemptions
    }


def _report(redemption_id: UUID, delivery: Delivery, lines: Sequence[LineRow]) -> Report:
    """What an answer means. One of e-vouchers alone needs to say no more than that they are issued."""
    report = delivery.report(redemption_id)
    if report.parts or report.all_stopped or delivery.state != "issued":
        return report
    everything = tuple(row["number"] for row in lines)
    return replace(report, parts=(Part(Way.WALLET, PartState.ISSUED, everything, NO_MATTER_WHEN),))


async def _items(parts: Parts, asked: Sequence[_Wanted]) -> tuple[list[dict[str, Any]], set[UUID]]:
    """What is asked for, and those whose offer nobody could tell just now. One in trouble does not hold up the others."""
    items: list[dict[str, Any]] = []
    unasked: set[UUID] = set()
    for one in asked:
        if unasked:  # the catalog is away: asking again for each would take longer than the whole set may
            unasked.add(one.redemption.id)
            continue
        try:
            items.append(await _item(parts, one))
        except NeighbourUnavailable:
            unasked.add(one.redemption.id)
        except (LookupError, Refused, Unreadable) as error:
            log.warning("offer_not_understood", redemption=str(one.redemption.id), error=type(error).__name__)
    return items, unasked


async def _item(parts: Parts, wanted: _Wanted) -> dict[str, Any]:
    """One redemption as fulfillment wants it; what the reward is comes from the version of the offer that was redeemed."""
    redemption = wanted.redemption
    item = {
        "id": redemption.id,
        "customer_id": redemption.customer_id,
        "owner": {"issuer": wanted.person.issuer, "subject": wanted.person.subject},
        "campaign": redemption.campaign,
        "lines": [await _line(parts, row) for row in wanted.lines],
    }
    if wanted.destination is not None and wanted.data_key is not None:
        item["delivery"] = destination(parts, redemption.customer_id, wanted.data_key, wanted.destination)
    return item


async def _line(parts: Parts, row: LineRow) -> dict[str, Any]:
    offer = await parts.catalog.offer(row["offer_id"], row["offer_version"])
    if offer is None:
        raise LookupError(f"offer {row['offer_id']} version {row['offer_version']} is gone")
    reward = offer.reward
    line = {
        "number": row["number"],
        "quantity": row["quantity"],
        "kind": reward["kind"],
        "reward": {"code": reward["code"], "names": reward["names"]},
    }
    return line if reward["kind"] == GOODS else {**line, "voucher": offer.voucher}


async def watch_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Ask how parcels stand of which nothing was heard: a report that got lost is made up for within the hour.

    What is read carries a version, so this needs no fence; and it holds no task while it waits for a redemption.
    """
    ids = [claim.ref for claim in claims if claim.ref is not None]
    async with parts.database.transaction() as conn:
        found = [r.id for r in (await store.read(conn, ids)).values() if r.state is State.DELIVERING]
    reports = await ask_by_halves(found, parts.fulfillment.stand)
    await failpoint("watch.after_call")

    async def commit(some: Sequence[Report]) -> None:
        told = {report.redemption_id: report for report in some}
        await parts.database.run(lambda conn: take_reports(parts, conn, told, DRIVER))

    halved = await commit_apart(list(reports.values()), commit, lambda report: report.redemption_id)
    reasons = {report.redemption_id: type(error).__name__ for report, error in halved.spoiled}
    spoiled = {claim.id: Again(reasons[claim.ref]) for claim in claims if claim.ref in reasons}
    looked = [c for c in claims if c.id not in spoiled and (c.ref in reports or c.ref not in found)]
    async with parts.database.transaction() as conn:
        still = {r.id for r in (await store.read(conn, ids)).values() if r.state is State.DELIVERING}
        await parts.tasks.finish(conn, [claim for claim in looked if claim.ref not in still])
        await parts.tasks.defer(conn, [(claim, LOOK_AGAIN) for claim in looked if claim.ref in still])
    return {**_not_done(claims, looked, "watch", known=spoiled), **spoiled}


async def consume_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Tell the catalog that what was held has been handed out."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    outcomes = await ask_by_halves(ids, lambda some: parts.catalog.consume(some, DRIVER))
    return await _finish(parts, claims, {ref for ref, o in outcomes.items() if o.outcome == "consumed"}, "consume")


async def release_claimed(parts: Parts, claims: Sequence[Claim]) -> dict[UUID, Again]:
    """Release what a declined redemption may hold; an attempt that comes later meets the tombstone."""
    ids = [claim.ref for claim in claims if claim.ref is not None]
    outcomes = await ask_by_halves(ids, lambda some: parts.catalog.release(some, DRIVER))
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
