"""Choosing how goods reach the customer, and telling fulfillment where they go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from services.redemption.addresses import store as addresses
from services.redemption.addresses.domain import Place
from services.redemption.addresses.sealing import open_place
from services.redemption.customers import store as customers
from services.redemption.customers.domain import Customer
from services.redemption.deliveries.domain import (
    GOODS,
    AddressUnknown,
    Branch,
    BranchUnknown,
    Chosen,
    Recipient,
    Way,
    check_way,
)
from services.redemption.deliveries.schemas import CourierWish, PickupWish
from services.redemption.deliveries.store import SealedDelivery
from services.redemption.offers.domain import Offer
from services.redemption.parts import Parts
from shared.errors import FieldError


async def choose_delivery(
    parts: Parts,
    customer: Customer,
    redemption_id: UUID,
    lines: Sequence[tuple[int, Offer]],
    wish: CourierWish | PickupWish | None,
) -> Chosen | None:
    """What a redemption to be will keep of where its goods go; None when it has none.

    Raises DeliveryRequired, DeliveryNotNeeded, DeliveryNotOffered, AddressUnknown, BranchUnknown, and NeighbourUnavailable
    when the branches were never heard of.
    """
    goods = [(number, offer) for number, offer in lines if offer.reward["kind"] == GOODS]
    check_way(goods, None if wish is None else Way(wish.way))
    if wish is None:
        return None
    if isinstance(wish, PickupWish):
        branch = (await parts.fulfillment.branches()).get(wish.branch)
        if branch is None:
            raise BranchUnknown(FieldError("delivery.branch", "not-allowed"))
        return await _at_branch(parts, customer, redemption_id, branch)
    return await _to_address(parts, customer, redemption_id, wish.address_id)


async def _at_branch(parts: Parts, customer: Customer, redemption_id: UUID, branch: Branch) -> Chosen:
    async with parts.database.transaction() as conn:
        sealed = (await customers.read_contacts(conn, [customer.id]))[customer.id]
    contact = parts.personal_data.open(customer.id, sealed)
    recipient = Recipient(contact.name, contact.phone, customer.language)
    kept = _seal(parts, customer.id, sealed.data_key, redemption_id, "contact", asdict(recipient))
    return Chosen(Way.PICKUP, branch, kept, None)


async def _to_address(parts: Parts, customer: Customer, redemption_id: UUID, address_id: UUID) -> Chosen:
    async with parts.database.transaction() as conn:
        address = await addresses.read_one(conn, address_id)
        data_key = (await customers.read_contacts(conn, [customer.id]))[customer.id].data_key
    if address is None or address.customer_id != customer.id:
        raise AddressUnknown(FieldError("delivery.address_id", "not-allowed"))
    place = open_place(parts.personal_data, data_key, address)
    recipient = Recipient(place.recipient, place.phone, customer.language)
    return Chosen(
        Way.COURIER,
        None,
        _seal(parts, customer.id, data_key, redemption_id, "contact", asdict(recipient)),
        _seal(parts, customer.id, data_key, redemption_id, "address", _told(place)),
    )


def destination(parts: Parts, customer_id: UUID, data_key: bytes, kept: SealedDelivery) -> dict[str, Any]:
    """Where a redemption goes, as fulfillment wants it. Raises Unreadable when the customer's key was destroyed."""

    def opened(column: str, sealed: bytes) -> Any:
        place = f"redemption_deliveries.{column}|{kept.redemption_id}"
        return json.loads(parts.personal_data.open_value(customer_id, data_key, sealed, place))

    told: dict[str, Any] = {"way": kept.way, "contact": opened("contact", kept.contact_sealed)}
    if kept.branch is not None:
        told["branch"] = kept.branch
    if kept.address_sealed is not None:
        told["address"] = opened("address", kept.address_sealed)
    return told


def _told(place: Place) -> dict[str, str]:
    """The address without what is only the customer's to know."""
    told = {"province": place.province, "city": place.city, "district": place.district, "street": place.street}
    return told if place.postcode is None else {**told, "postcode": place.postcode}


def _seal(
    parts: Parts, customer_id: UUID, data_key: bytes, redemption_id: UUID, column: str, value: Mapping[str, Any]
) -> bytes:
    plain = json.dumps(value, ensure_ascii=False).encode()
    return parts.personal_data.seal_value(customer_id, data_key, plain, f"redemption_deliveries.{column}|{redemption_id}")
