"""What can be done with an address book. One customer's changes come one after the other."""

from uuid import UUID

from services.redemption.addresses import store
from services.redemption.addresses.domain import Place, SealedAddress, free_place
from services.redemption.addresses.sealing import open_place, seal_place
from services.redemption.customers import store as customers
from services.redemption.parts import Parts
from shared.audit import Actor, Entry, look_of
from shared.problems import NotFound


async def keep_address(
    parts: Parts, customer_id: UUID, address_id: UUID, place: Place, *, is_default: bool, actor: Actor
) -> None:
    """Write an address under the id that the customer chose; the same again changes nothing.

    Raises NotFound when the id is another customer's, AddressBookFull when there are twenty already.
    """
    async with parts.database.transaction() as conn:
        await store.lock_book(conn, customer_id)
        now = await parts.clock.now(conn)
        book = {address.id: address for address in await store.read_book(conn, customer_id)}
        known = book.get(address_id)
        number = known.place if known is not None else free_place([address.place for address in book.values()])
        data_key = (await customers.read_contacts(conn, [customer_id]))[customer_id].data_key
        sealed = seal_place(parts.personal_data, customer_id, data_key, address_id, place)
        if not await store.put(conn, SealedAddress(address_id, customer_id, number, sealed, is_default), now):
            raise NotFound
        await parts.audit.record(conn, now, [_entry("address.kept", customer_id, address_id, actor)])


async def forget_address(parts: Parts, customer_id: UUID, address_id: UUID, actor: Actor) -> None:
    """Take an address out of the book; what was redeemed keeps the address that it went to. Raises NotFound."""
    async with parts.database.transaction() as conn:
        await store.lock_book(conn, customer_id)
        now = await parts.clock.now(conn)
        if not await store.delete(conn, customer_id, address_id):
            raise NotFound
        await parts.audit.record(conn, now, [_entry("address.removed", customer_id, address_id, actor)])


async def read_addresses(parts: Parts, customer_id: UUID, seen_by: Actor | None = None) -> list[tuple[SealedAddress, Place]]:
    """The whole book, the default address first. `seen_by`: a member of staff, whose look is written down (A1)."""
    async with parts.database.transaction() as conn:
        book = await store.read_book(conn, customer_id)
        data_key = (await customers.read_contacts(conn, [customer_id]))[customer_id].data_key
        if seen_by is not None:
            now = await parts.clock.now(conn)
            await parts.audit.record(conn, now, [look_of(seen_by, customer_id, "addresses")])
    return [(address, open_place(parts.personal_data, data_key, address)) for address in book]


def _entry(action: str, customer_id: UUID, address_id: UUID, actor: Actor) -> Entry:
    return Entry(action, f"customer:{customer_id}", actor, after={"address": str(address_id)})
