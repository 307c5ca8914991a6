"""The address book over HTTP: the customer's own, and masked for staff."""

import asyncio
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.redemption.addresses.domain import Place, masked
from services.redemption.addresses.schemas import AddressBook, AddressOut, AddressWish, MaskedAddressBook, MaskedAddressOut
from services.redemption.addresses.use_cases import forget_address, keep_address, read_addresses
from services.redemption.customers.access import customer_of, require_owner
from services.redemption.customers.domain import UnknownCustomer, normal_phone
from services.redemption.parts import Parts
from shared.app import new_router
from shared.audit import Actor
from shared.errors import FieldError
from shared.identity import Principal, allow, customers, staff
from shared.problems import InvalidInput, NotFound

WRITERS_AT_ONCE = 2
NO_STORE = {"Cache-Control": "no-store"}
Reader = Annotated[Principal, allow(customers("profile:read"))]
Writer = Annotated[Principal, allow(customers("profile:write"))]


def address_router(parts: Parts) -> APIRouter:
    """The routes of the address book."""
    router = new_router()
    # The changes of one book wait for each other: here, and not with a connection of the pool in hand.
    turns = asyncio.Semaphore(WRITERS_AT_ONCE)

    @router.get("/v1/addresses", response_model=AddressBook)
    async def list_addresses(response: Response, who: Reader) -> AddressBook:
        """The caller's own address book."""
        response.headers.update(NO_STORE)
        customer = await customer_of(parts, who)
        found = await read_addresses(parts, customer.id)
        return AddressBook(
            items=[AddressOut(id=sealed.id, is_default=sealed.is_default, **asdict(place)) for sealed, place in found]
        )

    @router.put("/v1/addresses/{address_id}", status_code=204)
    async def put_address(address_id: UUID, wish: AddressWish, who: Writer) -> Response:
        """Keep an address under an id of the caller's choice; the same again changes nothing."""
        customer = await customer_of(parts, who)
        async with turns:
            await keep_address(parts, customer.id, address_id, _place(wish), is_default=wish.is_default, actor=Actor.of(who))
        return Response(status_code=204)

    @router.delete("/v1/addresses/{address_id}", status_code=204)
    async def delete_address(address_id: UUID, who: Writer) -> Response:
        """Take an address out of the book; what was redeemed is not changed by it."""
        try:
            customer = await customer_of(parts, who)
        except UnknownCustomer:
            raise NotFound from None
        async with turns:
            await forget_address(parts, customer.id, address_id, Actor.of(who))
        return Response(status_code=204)

    @router.get("/v1/customers/{customer_id}/addresses", response_model=MaskedAddressBook)
    async def list_masked_addresses(
        response: Response,
        customer_id: UUID,
        who: Annotated[Principal, allow(staff("agent", "supervisor", "branch", "auditor"))],
    ) -> MaskedAddressBook:
        """A customer's addresses, masked; the look is logged (A1)."""
        response.headers.update(NO_STORE)
        async with parts.database.transaction() as conn:
            await require_owner(conn, who, customer_id)
        found = await read_addresses(parts, customer_id, seen_by=Actor.of(who))
        return MaskedAddressBook(
            items=[MaskedAddressOut(id=sealed.id, is_default=sealed.is_default, **masked(place)) for sealed, place in found]
        )

    return router


def _place(wish: AddressWish) -> Place:
    try:
        phone = normal_phone(wish.phone)
    except ValueError:
        raise InvalidInput(FieldError("phone", "not-a-phone")) from None
    return Place(
        recipient=wish.recipient,
        phone=phone,
        province=wish.province,
        city=wish.city,
        district=wish.district,
        street=wish.street,
        postcode=wish.postcode,
        label=wish.label,
    )
