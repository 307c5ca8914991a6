"""Sending notices until the gateway has them, and showing staff what customers were told (F7)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.notices import store
from services.fulfillment.notices.domain import Contact, Message, MessageRefused, Notice, NoticeState, Pending
from services.fulfillment.notices.requesting import NOTIFYING
from services.fulfillment.notices.templates import render
from shared.audit import Audit
from shared.clock import Clock
from shared.database import Database
from shared.failpoints import failpoint
from shared.identity import Principal
from shared.languages import Language
from shared.problems import NeighbourUnavailable
from shared.tasks import Again, Claim, Tasks

__all__ = ["NOTIFYING", "Contacts", "Gateway", "Notices"]

CONTACT_GONE = "nobody-to-tell"
FAILED_AGAIN_SECONDS = 60.0
"""After how long a notice that we ourselves cannot write is tried again. It is never given up, and each time it is an error."""

log = structlog.get_logger()


class Contacts(Protocol):
    """Who is told of a parcel."""

    async def contacts_of(self, conn: AsyncConnection, parcels: Sequence[UUID]) -> Mapping[UUID, Contact]:
        """By parcel; one that is not in the answer has nobody any more."""


class Gateway(Protocol):
    """The bank's gateway for messages."""

    async def send(self, message: Message) -> str:
        """Hand a message over; the gateway's reference. Raises MessageRefused, or NeighbourUnavailable to send it again."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """The gateway has it."""

    language: Language
    reference: str


@dataclass(frozen=True, slots=True)
class _NotSent:
    """The gateway does not have it, and never will where it `ended`."""

    reason: str
    ended: bool
    after_seconds: float | None = None


class Notices:
    """The use cases of notices."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: Audit,
        tasks: Tasks,
        contacts: Contacts,
        gateway: Gateway,
        timezone: ZoneInfo,
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._tasks = tasks
        self._contacts = contacts
        self._gateway = gateway
        self._timezone = timezone

    async def notify(self, claims: Sequence[Claim]) -> Mapping[UUID, Again]:
        """Send notices. Whatever the gateway refuses for good is failed with its reason; all else is tried for ever.

        The gateway knows each by our id, so one whose answer was lost is not told twice.
        """
        async with self._database.transaction() as conn:
            pending = await store.read_pending(conn, [claim.ref for claim in claims if claim.ref is not None])
            contacts = await self._contacts.contacts_of(conn, [notice.parcel_id for notice in pending])
        ends = await asyncio.gather(*(self._send(notice, contacts.get(notice.parcel_id)) for notice in pending))
        how = {notice.id: end for notice, end in zip(pending, ends, strict=True)}
        await failpoint("notify.after_calls")
        again = {
            claim.id: Again(end.reason, end.after_seconds)
            for claim in claims
            if claim.ref is not None and isinstance(end := how.get(claim.ref), _NotSent) and not end.ended
        }
        async with self._database.transaction() as conn:
            held = await self._tasks.finish(conn, [claim for claim in claims if claim.id not in again])
            now = await self._clock.now(conn)
            mine = {claim.ref for claim in claims if claim.id in held or claim.id in again}
            await self._record(conn, now, {notice: end for notice, end in how.items() if notice in mine})
        return again

    async def list_of(
        self, customer_id: UUID, who: Principal, before: tuple[datetime, UUID] | None, most: int
    ) -> Sequence[Notice]:
        """A customer's notices, the newest first, behind `before`; the look is on record."""
        async with self._database.transaction() as conn:
            await self._audit.look(conn, self._clock, who, customer_id, "notices")
            return await store.page_of(conn, customer_id, before, most)

    async def _send(self, notice: Pending, contact: Contact | None) -> _Sent | _NotSent:
        if contact is None:
            return _NotSent(CONTACT_GONE, ended=True)
        try:
            text = render(notice.kind, notice.facts, contact.language, self._timezone)
            reference = await self._gateway.send(Message(notice.id, contact.phone, contact.language, notice.kind, text))
        except MessageRefused as refused:
            return _NotSent(refused.reason, ended=True)
        except NeighbourUnavailable as error:
            return _NotSent(type(error).__name__, ended=False)
        except Exception as error:  # noqa: BLE001 - one that cannot be sent holds up none of the others
            failed = type(error).__name__  # its text may hold values
        else:
            return _Sent(contact.language, reference)
        log.error("notice_failed", notice=str(notice.id), error=failed)
        return _NotSent(failed, ended=False, after_seconds=FAILED_AGAIN_SECONDS)

    async def _record(self, conn: AsyncConnection, now: datetime, how: Mapping[UUID, _Sent | _NotSent]) -> None:
        sent = {one: (end.language, end.reference) for one, end in how.items() if isinstance(end, _Sent)}
        await store.mark_sent(conn, now, sent)
        not_sent = {one: end for one, end in how.items() if isinstance(end, _NotSent)}
        states = {True: NoticeState.FAILED, False: NoticeState.PENDING}
        await store.mark_not_sent(conn, now, {one: (states[end.ended], end.reason) for one, end in not_sent.items()})
