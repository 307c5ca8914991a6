"""What owners and staff see of parcels: lists, one parcel with its timeline, and the pickup code for its owner alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.branches import store as branches
from services.fulfillment.branches.domain import Branch
from services.fulfillment.parcels import reading, store
from services.fulfillment.parcels.contacts import ContactSafe
from services.fulfillment.parcels.domain import Event, Parcel, ParcelState, PickupCodeNotShowable, Reward, masked_name
from services.fulfillment.parcels.pickup_codes import PickupCodeSafe
from services.fulfillment.vouchers.domain import Owner, owner_of
from shared.audit import Audit
from shared.clock import Clock
from shared.database import Database
from shared.identity import Principal
from shared.problems import NotFound
from shared.secrets import Unreadable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shown:
    """A parcel with what is in it, its timeline and its branch; of whom it is for no more than a masked name and a district."""

    parcel: Parcel
    rewards: Sequence[Reward]
    events: Sequence[Event]
    branch: Branch | None
    recipient: str | None
    district: str | None


class Parcels:
    """The reading use cases of parcels."""

    def __init__(self, database: Database, clock: Clock, audit: Audit, contacts: ContactSafe, codes: PickupCodeSafe) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._contacts = contacts
        self._codes = codes

    async def list_own(self, owner: Owner, before: UUID | None, most: int) -> list[Shown]:
        """The owner's parcels, newest first, behind `before`."""
        async with self._database.transaction() as conn:
            return await self._shown(conn, await reading.page_of_owner(conn, owner, before, most))

    async def list_of(self, customer_id: UUID, who: Principal, before: UUID | None, most: int) -> list[Shown]:
        """A customer's parcels for staff, newest first, behind `before`; the look is on record."""
        async with self._database.transaction() as conn:
            await self._audit.look(conn, self._clock, who, customer_id, "parcels")
            return await self._shown(conn, await reading.page_of_customer(conn, customer_id, before, most))

    async def list_at(
        self, branch: str, own_branch: str | None, state: ParcelState | None, before: UUID | None, most: int
    ) -> list[Shown]:
        """The parcels for a branch, for its own staff alone, newest first. Raises NotFound for any other branch."""
        if own_branch is None or own_branch != branch:
            raise NotFound
        async with self._database.transaction() as conn:
            return await self._shown(conn, await reading.page_at_branch(conn, branch, state, before, most))

    async def show(self, parcel_id: UUID, who: Principal) -> Shown:
        """One parcel; a look of staff is on record. Raises NotFound when there is none or it is somebody else's."""
        async with self._database.transaction() as conn:
            parcel = await _mine(conn, parcel_id, owner_of(who))
            await self._audit.look(conn, self._clock, who, parcel.customer_id, f"parcel:{parcel_id}")
            return (await self._shown(conn, [parcel]))[0]

    async def show_changed(self, parcel_id: UUID) -> Shown:
        """A parcel to the very person at the counter whose deed with it is on record. Raises NotFound when there is none."""
        async with self._database.transaction() as conn:
            return (await self._shown(conn, [await _mine(conn, parcel_id, None)]))[0]

    async def show_code(self, parcel_id: UUID, owner: Owner) -> str:
        """The pickup code, for its owner alone. Raises NotFound, or PickupCodeNotShowable unless the parcel lies ready."""
        async with self._database.transaction() as conn:
            parcel = await _mine(conn, parcel_id, owner)
        if parcel.state is not ParcelState.READY or parcel.code_sealed is None:
            raise PickupCodeNotShowable(state=parcel.state.value)
        return self._codes.open(parcel_id, parcel.code_sealed)

    async def _shown(self, conn: AsyncConnection, found: Sequence[Parcel]) -> list[Shown]:
        if not found:
            return []
        ids = [parcel.id for parcel in found]
        rewards, events = await reading.rewards_in(conn, ids), await reading.events_of(conn, ids)
        codes = {parcel.branch for parcel in found if parcel.branch is not None}
        known = await branches.read(conn, codes) if codes else {}
        return [
            Shown(
                parcel,
                rewards.get(parcel.id, ()),
                events.get(parcel.id, ()),
                known.get(parcel.branch or ""),
                *self._masked(parcel),
            )
            for parcel in found
        ]

    def _masked(self, parcel: Parcel) -> tuple[str | None, str | None]:
        """Whom a parcel is for and in which district, as far as everybody who sees it may know; nothing once it is erased."""
        try:
            name = masked_name(self._contacts.open_contact(parcel.id, parcel.contact_sealed).name)
            if parcel.address_sealed is None:
                return name, None
            address = self._contacts.open_address(parcel.id, parcel.address_sealed)
        except Unreadable:
            log.warning("contact_unreadable", parcel=str(parcel.id))
            return None, None
        return name, f"{address.province}{address.city}{address.district}"


async def _mine(conn: AsyncConnection, parcel_id: UUID, owner: Owner | None) -> Parcel:
    parcel = await store.find(conn, parcel_id)
    if parcel is None or (owner is not None and parcel.owner != owner):
        raise NotFound
    return parcel
