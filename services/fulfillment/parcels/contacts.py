"""To whom and where a parcel goes: sealed in the parcel's row, opened for the carrier, for a notice and for its owner (G49).

No list, log, task or audit row holds any of it; staff see a masked name and a district.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.carriers.domain import Address
from services.fulfillment.notices.domain import Contact
from services.fulfillment.parcels import store
from shared.secrets import Unreadable, Vault
from shared.sets import as_json
from shared.strict_json import loads

log = structlog.get_logger()


class ContactSafe:
    """Seals contacts and addresses for the row of their parcel alone."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal_contact(self, parcel_id: UUID, contact: Contact) -> bytes:
        """The contact, encrypted for this parcel."""
        told = {"name": contact.name, "phone": contact.phone, "language": contact.language}
        return self._vault.seal(as_json(told).encode(), f"parcels.contact_sealed|{parcel_id}")

    def open_contact(self, parcel_id: UUID, sealed: bytes) -> Contact:
        """The contact of this parcel. Raises Unreadable when its key is gone or the value was changed or moved."""
        return Contact(**loads(self._vault.open(sealed, f"parcels.contact_sealed|{parcel_id}")))

    def seal_address(self, parcel_id: UUID, address: Address) -> bytes:
        """The address, encrypted for this parcel."""
        told = {
            "province": address.province,
            "city": address.city,
            "district": address.district,
            "street": address.street,
            "postcode": address.postcode,
        }
        return self._vault.seal(as_json(told).encode(), f"parcels.address_sealed|{parcel_id}")

    def open_address(self, parcel_id: UUID, sealed: bytes) -> Address:
        """The address of this parcel. Raises Unreadable as `open_contact` does."""
        return Address(**loads(self._vault.open(sealed, f"parcels.address_sealed|{parcel_id}")))


class Contacts:
    """Whom to tell of parcels, for whoever sends notices."""

    def __init__(self, safe: ContactSafe) -> None:
        self._safe = safe

    async def contacts_of(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> dict[UUID, Contact]:
        """The contact of each of these parcels; one that cannot be opened any more is left out."""
        found = {}
        for parcel_id, sealed in await store.sealed_contacts(conn, parcels):
            try:
                found[parcel_id] = self._safe.open_contact(parcel_id, sealed)
            except Unreadable:
                log.warning("contact_unreadable", parcel=str(parcel_id))
        return found
