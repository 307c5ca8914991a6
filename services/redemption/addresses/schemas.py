"""Addresses in JSON."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=NO_CONTROLS)]
Street = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20, pattern=NO_CONTROLS)]
Postcode = Annotated[str, StringConstraints(min_length=3, max_length=12, pattern=r"^[0-9A-Za-z][0-9A-Za-z -]*$")]


class AddressWish(BaseModel):
    """Where parcels go; national telephone numbers are read as the bank's country's."""

    model_config = ConfigDict(extra="forbid")

    recipient: Word
    phone: str = Field(min_length=5, max_length=32)
    province: Word
    city: Word
    district: Word
    street: Street
    postcode: Postcode | None = None
    label: Label | None = None
    is_default: bool = Field(default=False, strict=True)


class AddressOut(BaseModel):
    """An address of the customer's own."""

    id: UUID
    recipient: str
    phone: str
    province: str
    city: str
    district: str
    street: str
    postcode: str | None
    label: str | None
    is_default: bool


class AddressBook(BaseModel):
    """All addresses, the default one first; at most twenty."""

    items: list[AddressOut]


class MaskedAddressOut(BaseModel):
    """An address as staff see it: the district; recipient and telephone masked."""

    id: UUID
    recipient: str
    phone: str
    province: str
    city: str
    district: str
    is_default: bool


class MaskedAddressBook(BaseModel):
    """All addresses of a customer, masked."""

    items: list[MaskedAddressOut]
