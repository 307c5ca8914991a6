"""Sealing and opening addresses under the customer's own key, each bound to its row."""

import json
from dataclasses import asdict
from uuid import UUID

from services.redemption.addresses.domain import Place, SealedAddress
from services.redemption.customers.personal_data import PersonalData


def seal_place(data: PersonalData, customer_id: UUID, data_key: bytes, address_id: UUID, place: Place) -> bytes:
    """As the book keeps it."""
    plain = json.dumps(asdict(place), ensure_ascii=False).encode()
    return data.seal_value(customer_id, data_key, plain, f"customer_addresses.sealed|{address_id}")


def open_place(data: PersonalData, data_key: bytes, address: SealedAddress) -> Place:
    """Read it. Raises Unreadable when the key was destroyed or the value moved."""
    plain = data.open_value(address.customer_id, data_key, address.sealed, f"customer_addresses.sealed|{address.id}")
    return Place(**json.loads(plain))
