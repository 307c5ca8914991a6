"""Customers over HTTP: who am I, and finding a caller."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.redemption.customers import store
from services.redemption.customers.access import customer_of
from services.redemption.customers.domain import Contact, Customer, masked_name, masked_phone, normal_phone
from services.redemption.parts import Parts
from shared.app import new_router
from shared.audit import Actor, Entry
from shared.errors import FieldError
from shared.identity import Principal, allow, customers, staff
from shared.problems import InvalidInput


class Me(BaseModel):
    """The customer behind the token."""

    customer_id: UUID
    customer_number: str
    tier: str
    language: str


class PhoneSearch(BaseModel):
    """A telephone number as the caller says it; national numbers are read as the bank's country's."""

    model_config = ConfigDict(extra="forbid")

    phone: str = Field(min_length=5, max_length=32)


class FoundCustomer(BaseModel):
    """A customer as an agent sees them before there is need for more: name and number masked."""

    customer_id: UUID
    customer_number: str
    tier: str
    language: str
    name: str
    phone: str


class FoundCustomers(BaseModel):
    """Those who share the number."""

    items: list[FoundCustomer]


def customer_router(parts: Parts) -> APIRouter:
    """The routes of customers."""
    router = new_router()

    @router.get("/v1/me", response_model=Me)
    async def me(who: Annotated[Principal, allow(customers("points:read"))]) -> Me:
        """The caller as a customer."""
        customer = await customer_of(parts, who)
        return Me(
            customer_id=customer.id,
            customer_number=customer.customer_number,
            tier=customer.tier,
            language=customer.language,
        )

    @router.post("/v1/customers/search", response_model=FoundCustomers)
    async def search_customers(
        search: PhoneSearch, who: Annotated[Principal, allow(staff("agent", "supervisor", "branch"))]
    ) -> FoundCustomers:
        """Find a caller by telephone number. A POST, so that the number stands in no address; the look is logged (A1)."""
        try:
            phone = normal_phone(search.phone)
        except ValueError:
            raise InvalidInput(FieldError("phone", "not-a-phone")) from None
        async with parts.database.transaction() as conn:
            now = await parts.clock.now(conn)
            found = await store.find_by_phone(conn, parts.personal_data.phone_lookup(phone))
            sealed = await store.read_contacts(conn, [customer.id for customer in found])
            looks = [Entry("customer.searched", "customers", Actor.of(who), after={"found": len(found)})]
            looks += [Entry("customer.looked_up", f"customer:{customer.id}", Actor.of(who)) for customer in found]
            await parts.audit.record(conn, now, looks)
        contacts = [parts.personal_data.open(customer.id, sealed[customer.id]) for customer in found]
        return FoundCustomers(items=[_shown(customer, contact) for customer, contact in zip(found, contacts, strict=True)])

    return router


def _shown(customer: Customer, contact: Contact) -> FoundCustomer:
    return FoundCustomer(
        customer_id=customer.id,
        customer_number=customer.customer_number,
        tier=customer.tier,
        language=customer.language,
        name=masked_name(contact.name),
        phone=masked_phone(contact.phone),
    )
