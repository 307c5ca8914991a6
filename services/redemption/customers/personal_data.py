"""Sealing and opening contact data: a data key a customer, itself sealed under the service's key."""

from dataclasses import dataclass
from uuid import UUID

from services.redemption.customers.domain import Contact, normal_name
from shared.secrets import Vault, lookup, new_key


@dataclass(frozen=True, slots=True)
class SealedContact:
    """Contact data as the database keeps it."""

    data_key: bytes
    name: bytes
    phone: bytes
    phone_lookup: bytes
    name_lookup: bytes | None
    """None in rows that are older than the search by name and were not looked at since."""


class PersonalData:
    """Opens and seals contact data."""

    def __init__(self, keys: Vault, lookup_key: bytes) -> None:
        self._keys = keys
        self._lookup_key = lookup_key

    def seal(self, customer_id: UUID, contact: Contact, data_key: bytes | None = None) -> SealedContact:
        """Seal for one customer, under the sealed data key that they have or a new one."""
        plain_key = new_key() if data_key is None else self._keys.open(data_key, f"customers.data_key|{customer_id}")
        mine = Vault({"own": plain_key})
        return SealedContact(
            data_key=data_key or self._keys.seal(plain_key, f"customers.data_key|{customer_id}"),
            name=mine.seal(contact.name.encode(), f"customers.name|{customer_id}"),
            phone=mine.seal(contact.phone.encode(), f"customers.phone|{customer_id}"),
            phone_lookup=self.phone_lookup(contact.phone),
            name_lookup=self.name_lookup(contact.name),
        )

    def open(self, customer_id: UUID, sealed: SealedContact) -> Contact:
        """Read it. Raises Unreadable when the key was destroyed or the value moved."""
        mine = Vault({"own": self._keys.open(sealed.data_key, f"customers.data_key|{customer_id}")})
        return Contact(
            name=mine.open(sealed.name, f"customers.name|{customer_id}").decode(),
            phone=mine.open(sealed.phone, f"customers.phone|{customer_id}").decode(),
        )

    def seal_value(self, customer_id: UUID, data_key: bytes, plain: bytes, place: str) -> bytes:
        """Seal something else of a customer's under their own key, for one place such as `customer_addresses.sealed|<id>`."""
        return self._own(customer_id, data_key).seal(plain, place)

    def open_value(self, customer_id: UUID, data_key: bytes, sealed: bytes, place: str) -> bytes:
        """Read what `seal_value` sealed. Raises Unreadable when the key was destroyed or the value moved."""
        return self._own(customer_id, data_key).open(sealed, place)

    def _own(self, customer_id: UUID, data_key: bytes) -> Vault:
        return Vault({"own": self._keys.open(data_key, f"customers.data_key|{customer_id}")})

    def phone_lookup(self, phone: str) -> bytes:
        """Under which a number in E.164 is found."""
        return lookup(self._lookup_key, f"phone|{phone}")

    def name_lookup(self, name: str) -> bytes:
        """Under which a name is found, however its letters and spaces are written."""
        return lookup(self._lookup_key, f"name|{normal_name(name)}")
