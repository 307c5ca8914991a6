"""Customers: what we keep of a person, and how it is shown to somebody who need not see it all."""

from dataclasses import dataclass
from uuid import UUID

import phonenumbers

from shared.errors import DomainError
from shared.languages import Language

HOME_REGION = "CN"


class UnknownCustomer(DomainError):
    """This sign-in belongs to no customer of ours."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a customer is reached; sealed at rest, never in logs, tasks or audit rows."""

    name: str
    phone: str
    """In E.164."""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer without contact data."""

    id: UUID
    account_id: UUID
    customer_number: str
    issuer: str
    subject: str
    tier: str
    language: Language


def normal_phone(written: str) -> str:
    """The number in E.164, however it was written. Raises ValueError when it cannot be one."""
    try:
        number = phonenumbers.parse(written, HOME_REGION)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a telephone number") from error
    if not phonenumbers.is_valid_number(number):
        raise ValueError("not a telephone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked_phone(phone: str) -> str:
    """`+8613812341234` is shown as `138****1234`."""
    national = str(phonenumbers.parse(phone, None).national_number)
    return f"{national[:3]}****{national[-4:]}"


def masked_name(name: str) -> str:
    """The first character of a Chinese name, the initials of any other."""
    words = name.split()
    if len(words) > 1:
        return " ".join(f"{word[0]}*" for word in words)
    return name[0] + "*" * max(1, len(name) - 1)
