"""Customers: what we keep of a person, and how it is shown to somebody who need not see it all."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import phonenumbers

from shared.errors import DomainError
from shared.languages import Language

HOME_REGION = "CN"
FIRST_HAN = "\u2e80"
DIGITS_SHOWN_MAX, DIGITS_HIDDEN_MIN = 7, 4


class UnknownCustomer(DomainError):
    """This sign-in belongs to no customer of ours."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a customer is reached; sealed at rest, never in logs, tasks or audit rows."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
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


def normal_name(written: str) -> str:
    """A name as it is compared: one form for each letter, no capitals, single spaces, none in a name with Chinese characters.

    The order of the words stays, since it tells names apart. Empty when there is nothing but spaces.
    """
    words = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", written).casefold()).split()
    return ("" if _is_han(words) else " ").join(words)


def masked_phone(phone: str) -> str:
    """`+8613812341234` is shown as `138****1234`; of a shorter number less is shown, so that four digits stay hidden."""
    national = str(phonenumbers.parse(phone, None).national_number)
    shown = min(DIGITS_SHOWN_MAX, max(0, len(national) - DIGITS_HIDDEN_MIN))
    last = (shown + 1) // 2
    return f"{national[: shown - last]}****{national[len(national) - last :]}"


def masked_name(name: str) -> str:
    """The first character of a Chinese name, whether or not it is written with a space, the initials of any other."""
    words = name.split()
    if _is_han(words):
        words = ["".join(words)]
    name = words[0]
    if len(words) > 1:
        return " ".join(f"{word[0]}*" for word in words)
    return name[0] + "*" * max(1, len(name) - 1)


def _is_han(words: Sequence[str]) -> bool:
    return any(character >= FIRST_HAN for word in words for character in word)
