"""Customers over HTTP: who am I; and for staff, finding a caller, seeing one masked, and in full for a reason."""

from datetime import datetime
from typing import Annotated, get_args
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.redemption.customers.access import customer_of
from services.redemption.customers.domain import Contact, Customer, masked_name, masked_phone
from services.redemption.customers.use_cases import SearchBy, find_customers, look_at_customer, unmask_customer
from services.redemption.parts import Parts
from shared.app import new_router
from shared.audit import Actor
from shared.errors import FieldError
from shared.identity import Principal, allow, customers, staff
from shared.problems import InvalidInput

SEARCHERS = allow(staff("agent", "supervisor", "branch"))
READERS = allow(staff("agent", "supervisor", "branch", "auditor"))


class Me(BaseModel):
    """The customer behind the token."""

    customer_id: UUID
    customer_number: str
    tier: str
    language: str


class CustomerSearch(BaseModel):
    """What a caller says of themselves: exactly one of these. A national telephone number is read as the bank's country's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1, "maxProperties": 1})

    phone: str = Field(default_factory=str, min_length=5, max_length=32)
    customer_number: str = Field(default_factory=str, min_length=1, max_length=64)
    name: str = Field(default_factory=str, min_length=1, max_length=200)

    def only(self) -> tuple[SearchBy, str]:
        """What is searched by, and the value. Raises InvalidInput when nothing is given, or more than one thing."""
        given: list[SearchBy] = [by for by in get_args(SearchBy) if by in self.model_fields_set]
        if len(given) != 1:
            raise InvalidInput(FieldError("", "exactly-one", {"fields": ", ".join(get_args(SearchBy))}))
        return given[0], getattr(self, given[0])


class FoundCustomer(BaseModel):
    """A customer as an agent sees them before there is need for more: name and number masked."""

    customer_id: UUID
    customer_number: str
    tier: str
    language: str
    name: str
    phone: str


class FoundCustomers(BaseModel):
    """Those who share what was searched by, at most twenty; `more` says that there are others."""

    items: list[FoundCustomer]
    more: bool


class UnmaskingRequest(BaseModel):
    """Why somebody needs to see a customer's name and telephone number in full."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class UnmaskedCustomer(BaseModel):
    """A customer's name and telephone number (E.164) in full; the screen hides them again at `shown_until`."""

    customer_id: UUID
    customer_number: str
    name: str
    phone: str
    shown_until: datetime


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
    async def search_customers(search: CustomerSearch, who: Annotated[Principal, SEARCHERS]) -> FoundCustomers:
        """Find a caller. A POST, so that no name or number stands in an address; the look is on record (A1)."""
        by, value = search.only()
        found = await find_customers(parts, by, value, Actor.of(who))
        return FoundCustomers(items=[_shown(customer, contact) for customer, contact in found.people], more=found.more)

    @router.get("/v1/customers/{customer_id}", response_model=FoundCustomer)
    async def show_customer(customer_id: UUID, who: Annotated[Principal, READERS]) -> FoundCustomer:
        """One customer, name and telephone number masked; the look is on record."""
        return _shown(*await look_at_customer(parts, customer_id, Actor.of(who)))

    @router.post("/v1/customers/{customer_id}/unmasking", response_model=UnmaskedCustomer)
    async def unmask_contact(
        customer_id: UUID, asked: UnmaskingRequest, response: Response, who: Annotated[Principal, SEARCHERS]
    ) -> UnmaskedCustomer:
        """One customer's contact data in full, for a reason that stays on record. Kept nowhere on the way (`no-store`)."""
        customer, contact, until = await unmask_customer(parts, customer_id, Actor.of(who, reason=asked.reason))
        response.headers["Cache-Control"] = "no-store"
        return UnmaskedCustomer(
            customer_id=customer.id,
            customer_number=customer.customer_number,
            name=contact.name,
            phone=contact.phone,
            shown_until=until,
        )

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
