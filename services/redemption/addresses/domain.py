"""Addresses: what a customer keeps in their book, and how little of it staff see."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from services.redemption.customers.domain import masked_name, masked_phone
from shared.errors import DomainError

ADDRESSES_MAX = 20


class AddressBookFull(DomainError):
    """The address book is full."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is reached; sealed at rest, never in a log, a task or an audit row."""

    recipient: str = field(repr=False)
    phone: str = field(repr=False)
    """In E.164."""
    province: str = field(repr=False)
    city: str = field(repr=False)
    district: str = field(repr=False)
    street: str = field(repr=False)
    postcode: str | None = field(repr=False)
    label: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedAddress:
    """An entry of the book as the database keeps it."""

    id: UUID
    customer_id: UUID
    place: int
    sealed: bytes
    is_default: bool


def free_place(taken: Collection[int]) -> int:
    """The first of the twenty places that is free. Raises AddressBookFull."""
    for place in range(1, ADDRESSES_MAX + 1):
        if place not in taken:
            return place
    raise AddressBookFull(most=ADDRESSES_MAX)


def masked(place: Place) -> dict[str, str]:
    """As staff see it before there is need for more: the district, and who it is for in outline."""
    return {
        "recipient": masked_name(place.recipient),
        "phone": masked_phone(place.phone),
        "province": place.province,
        "city": place.city,
        "district": place.district,
    }
