"""Taking in a feed: everything in one transaction or nothing, and the same file twice changes nothing."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers import store as customers
from services.redemption.customers.domain import Contact, Customer
from services.redemption.feeds import store
from services.redemption.feeds.domain import (
    CustomerLine,
    Errors,
    FeedChanged,
    FeedKind,
    PointsLine,
    parse_customers,
    parse_points,
)
from services.redemption.feeds.store import Receipt
from services.redemption.parts import Parts
from services.redemption.points import store as ledger
from services.redemption.points.domain import AccountMayNotEarn
from shared.audit import Actor, Entry
from shared.ids import new_id

SOURCES = {"opening-balances": "opening", "earned-points": "earned"}


async def take_in_feed(parts: Parts, kind: FeedKind, name: str, content: bytes, actor: Actor) -> tuple[Receipt, bool]:
    """Take in a file under its name. Answers its receipt, and whether it had been taken in before.

    Raises FeedRejected with every error by line, or FeedChanged when the name stands for other content.
    """
    digest = hashlib.sha256(content).digest()
    lines: Sequence[CustomerLine] | Sequence[PointsLine]
    lines = (
        await asyncio.to_thread(parse_customers, content)
        if kind == "customers"
        else (await asyncio.to_thread(parse_points, kind, content))
    )

    async def work(conn: AsyncConnection) -> tuple[Receipt, bool]:
        now = await parts.clock.now(conn)
        empty: dict[str, Any] = {"lines": 0, "new": 0, "changed": 0, "unchanged": 0, "points": 0}
        row = {"kind": kind, "name": name, "digest": digest, **empty, "received_at": now, "actor": actor.name}
        if not await store.take_name(conn, row):
            receipt = await store.read_receipt(conn, kind, name)
            assert receipt is not None
            if receipt.digest != digest:
                raise FeedChanged
            return receipt, True
        new, changed, points = await _apply(parts, conn, kind, lines, actor)
        receipt = Receipt(kind, name, digest, len(lines), new, changed, len(lines) - new - changed, points)
        await store.count(conn, receipt)
        after = {"lines": len(lines), "new": new, "changed": changed, "points": points}
        await parts.audit.record(conn, now, [Entry("feed.taken_in", f"feed:{kind}:{name}", actor, after=after)])
        return receipt, False

    return await parts.database.run(work)


async def _apply(
    parts: Parts, conn: AsyncConnection, kind: FeedKind, lines: Sequence[Any], actor: Actor
) -> tuple[int, int, int]:
    if kind == "customers":
        new, changed = await _apply_customers(parts, conn, lines, actor)
        return new, changed, 0
    new, points = await _apply_points(parts, conn, SOURCES[kind], lines, actor)
    return new, 0, points


async def _apply_customers(parts: Parts, conn: AsyncConnection, lines: Sequence[CustomerLine], actor: Actor) -> tuple[int, int]:
    """New customers get an account; known ones are brought up to date."""
    issuer = parts.settings.issuer
    known = await customers.lock_by_numbers(conn, [line.customer_number for line in lines])
    owners = await customers.find_by_identity(conn, [(issuer, line.subject) for line in lines])
    before = await customers.find_by_numbers(conn, list(known))
    _refuse_moved_identities(issuer, lines, {subject: owner for (_, subject), owner in owners.items()}, before)
    contacts = await customers.read_contacts(conn, [customer_id for customer_id, _ in known.values()])
    now = await parts.clock.now(conn)
    new, changed = await asyncio.to_thread(_sealed_rows, parts, lines, known, before, contacts, now)
    await customers.insert_customers(conn, new)
    await ledger.open_accounts(conn, [(new_id(), row["id"]) for row in new])
    await customers.update_customers(conn, changed, now)
    entries = [Entry("customer.added", f"customer:{row['id']}", actor, after=_open_facts(row)) for row in new]
    entries += [Entry("customer.changed", f"customer:{row['id']}", actor, after=_open_facts(row)) for row in changed]
    await parts.audit.record(conn, now, entries)
    return len(new), len(changed)


def _open_facts(row: dict[str, Any]) -> dict[str, Any]:
    """What an audit row may say of a customer: contact data never."""
    return {"customer_number": row["customer_number"], "tier": row["tier"], "language": row["language"]}


def _refuse_moved_identities(
    issuer: str, lines: Sequence[CustomerLine], owners: dict[str, Customer], before: dict[str, Customer]
) -> None:
    """A sign-in stays with its customer for good: points, and vouchers in another service, are found by it."""
    errors = Errors()
    for line in lines:
        owner, mine = owners.get(line.subject), before.get(line.customer_number)
        if owner is not None and owner.customer_number != line.customer_number:
            errors.add(line.line, "subject", "identity-taken")
        elif mine is not None and (mine.issuer, mine.subject) != (issuer, line.subject):
            errors.add(line.line, "subject", "identity-fixed")
    errors.check()


def _sealed_rows(
    parts: Parts,
    lines: Sequence[CustomerLine],
    known: dict[str, tuple[Any, bytes]],
    before: dict[str, Customer],
    contacts: dict[Any, Any],
    now: datetime,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of new and of changed customers, sealed. Runs in a thread: sealing thousands takes its time."""
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for line in lines:
        customer_id, data_key = known.get(line.customer_number, (new_id(), None))
        if data_key is not None and _is_same(parts, line, before[line.customer_number], contacts[customer_id]):
            continue
        sealed = parts.personal_data.seal(customer_id, line.contact, data_key)
        row = {
            "id": customer_id,
            "customer_number": line.customer_number,
            "issuer": parts.settings.issuer,
            "subject": line.subject,
            "tier": line.tier,
            "language": line.language,
            "data_key": sealed.data_key,
            "name_sealed": sealed.name,
            "phone_sealed": sealed.phone,
            "phone_lookup": sealed.phone_lookup,
            "name_lookup": sealed.name_lookup,
            "created_at": now,
            "changed_at": now,
        }
        (new if data_key is None else changed).append(row)
    return new, changed


def _is_same(parts: Parts, line: CustomerLine, before: Customer, sealed: Any) -> bool:
    contact: Contact = parts.personal_data.open(before.id, sealed)
    mine = (line.subject, line.tier, line.language, line.contact)
    return mine == (before.subject, before.tier, before.language, contact)


async def _apply_points(
    parts: Parts, conn: AsyncConnection, source: str, lines: Sequence[PointsLine], actor: Actor
) -> tuple[int, int]:
    """Points that came, a lot a line. A line that was taken in before changes nothing; one that differs is an error."""
    found = await customers.find_by_numbers(conn, [line.customer_number for line in lines])
    errors = Errors()
    for line in lines:
        if line.customer_number not in found:
            errors.add(line.line, "customer_number", "unknown-customer")
    lines = [line for line in lines if line.customer_number in found]  # the others are looked at all the same
    account_of = {number: customer.account_id for number, customer in found.items()}
    books = await ledger.lock_books(conn, account_of.values())
    now = await parts.clock.now(conn)
    known = await store.known_lots(conn, source, [(account_of[line.customer_number], line.reference) for line in lines])
    entries, points = [], 0
    for line in lines:
        account_id = account_of[line.customer_number]
        before = known.get((account_id, line.reference))
        if before is not None:
            if before != (line.points, line.expires_on):
                errors.add(line.line, "reference", "conflicts")
            continue
        try:
            book = books[account_id]
            book.earn(points=line.points, expires_on=line.expires_on, source=source, source_ref=line.reference, now=now)
        except AccountMayNotEarn:
            errors.add(line.line, "customer_number", "may-not-earn")
            continue
        points += line.points
        after = {"points": line.points, "reference": line.reference}
        entries.append(Entry(f"points.{source}", f"account:{account_id}", actor, after=after))
    errors.check()
    await ledger.save_books(conn, books.values())
    await parts.audit.record(conn, now, entries)
    return len(entries), points
