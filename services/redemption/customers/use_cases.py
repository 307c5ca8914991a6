"""Staff look at customers: find a caller, see one masked, see one in full for a reason. Every look is on record (A1, G48)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers import store
from services.redemption.customers.domain import Contact, Customer, normal_name, normal_phone
from services.redemption.customers.personal_data import PersonalData, SealedContact
from services.redemption.parts import Parts
from shared.audit import Actor, Entry, look_of
from shared.errors import FieldError
from shared.problems import InvalidInput, NotFound
from shared.secrets import Unreadable
from shared.tasks import Again, Claim, NewTask

FOUND_MAX = 20
UNMASKED_SECONDS = 60
NAMED_AT_ONCE_MAX = 500
FIRST = UUID(int=0)

SearchBy = Literal["phone", "customer_number", "name"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """Who was found, with contact data, and whether there are more than are shown."""

    people: Sequence[tuple[Customer, Contact]]
    more: bool


async def find_customers(parts: Parts, by: SearchBy, value: str, actor: Actor) -> Found:
    """Those whose telephone number, bank's number or name this is, at most twenty, with the look on record.

    Raises InvalidInput when the value cannot be one.
    """
    find = _finder(parts, by, value)
    async with parts.database.transaction() as conn:
        found = await find(conn)
        more, found = len(found) > FOUND_MAX, found[:FOUND_MAX]
        sealed = await store.read_contacts(conn, [customer.id for customer in found])
        looks = [Entry("customer.searched", "customers", actor, after={"by": by, "found": len(found)})]
        looks += [look_of(actor, customer.id, "contact") for customer in found]
        await parts.audit.record(conn, await parts.clock.now(conn), looks)
    return Found([(customer, parts.personal_data.open(customer.id, sealed[customer.id])) for customer in found], more)


async def look_at_customer(parts: Parts, customer_id: UUID, actor: Actor) -> tuple[Customer, Contact]:
    """One customer, to be shown masked, with the look on record. Raises NotFound."""
    customer, contact, _ = await _open(parts, customer_id, look_of(actor, customer_id, "contact"))
    return customer, contact


async def unmask_customer(parts: Parts, customer_id: UUID, actor: Actor) -> tuple[Customer, Contact, datetime]:
    """One customer to be shown in full, and until when: a minute. The look and the actor's reason are on record first.

    Raises NotFound.
    """
    customer, contact, now = await _open(parts, customer_id, Entry("customer.unmasked", f"customer:{customer_id}", actor))
    return customer, contact, now + timedelta(seconds=UNMASKED_SECONDS)


async def index_names_claimed(parts: Parts, claims: Sequence[Claim]) -> Mapping[UUID, Again] | None:
    """Make customers from before the search by name findable: one set a commit, then a task for the next, until none is left.

    Running it again finds nothing to do. Whoever cannot be read (their key was destroyed) is passed over.
    """
    for claim in claims:
        after = UUID(claim.payload["after"]) if "after" in claim.payload else FIRST
        await parts.database.run(lambda conn, claim=claim, after=after: _index_set(parts, conn, claim, after))  # type: ignore[misc]
    return None


async def _index_set(parts: Parts, conn: AsyncConnection, claim: Claim, after: UUID) -> None:
    if not await parts.tasks.finish(conn, [claim]):
        return
    unnamed = await store.lock_unnamed(conn, after=after, most=NAMED_AT_ONCE_MAX)
    if not unnamed:
        return
    lookups = await asyncio.to_thread(_name_lookups, parts.personal_data, unnamed)
    await store.set_name_lookups(conn, lookups)
    log.info("names_indexed", customers=len(lookups), passed_over=len(unnamed) - len(lookups))
    if len(unnamed) == NAMED_AT_ONCE_MAX:
        last, now = str(max(unnamed)), await parts.clock.now(conn)
        await parts.tasks.add(conn, [NewTask(kind="index_names", payload={"after": last}, run_at=now, dedupe_key=last)])


def _name_lookups(personal_data: PersonalData, unnamed: Mapping[UUID, SealedContact]) -> dict[UUID, bytes]:
    lookups: dict[UUID, bytes] = {}
    for customer_id, sealed in unnamed.items():
        try:
            lookups[customer_id] = personal_data.name_lookup(personal_data.open(customer_id, sealed).name)
        except Unreadable:
            continue
    return lookups


def _finder(parts: Parts, by: SearchBy, value: str) -> Callable[[AsyncConnection], Awaitable[list[Customer]]]:
    """The query of one kind of search; it answers one more than are shown where there are."""
    if by == "customer_number":
        return lambda conn: _with_number(conn, value)
    if by == "name":
        if not normal_name(value):
            raise InvalidInput(FieldError("name", "missing"))
        return lambda conn: store.find_by_name(conn, parts.personal_data.name_lookup(value), FOUND_MAX + 1)
    try:
        phone = normal_phone(value)
    except ValueError:
        raise InvalidInput(FieldError("phone", "not-a-phone")) from None
    return lambda conn: store.find_by_phone(conn, parts.personal_data.phone_lookup(phone), FOUND_MAX + 1)


async def _with_number(conn: AsyncConnection, number: str) -> list[Customer]:
    return list((await store.find_by_numbers(conn, [number])).values())


async def _open(parts: Parts, customer_id: UUID, look: Entry) -> tuple[Customer, Contact, datetime]:
    async with parts.database.transaction() as conn:
        customer = (await store.find_by_ids(conn, [customer_id])).get(customer_id)
        if customer is None:
            raise NotFound
        sealed = (await store.read_contacts(conn, [customer_id]))[customer_id]
        now = await parts.clock.now(conn)
        await parts.audit.record(conn, now, [look])
    return customer, parts.personal_data.open(customer_id, sealed), now
