"""What a notice is, and where it stands."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from shared.languages import Language

NAMESPACE = UUID("7d0f1f0e-8a6b-4f0c-9d7e-2b6a1f3c5e90")


DAYS, INSTANTS = frozenset({"ready_until"}), frozenset({"at"})
TEXTS = frozenset({"branch_names", "branch_addresses", "branch_hours"})
FACTS = DAYS | INSTANTS | TEXTS | {"carrier", "tracking_number", "place", "number"}
"""What a notice may know, so that nothing else is ever written down with it or said in it; texts are in three languages."""


_ENTICING = re.compile(r"://|www\.|\d{5}", re.IGNORECASE)


def may_be_told(place: str) -> bool:
    """Whether a place may stand in a message: carriers write it, and a link or a number in it would speak for the bank."""
    return _ENTICING.search(unicodedata.normalize("NFKC", place)) is None


class MessageRefused(Exception):
    """The gateway will never take this message; the reason is in its own code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoticeKind(StrEnum):
    """What a customer is told."""

    PARCEL_DISPATCHED = "parcel_dispatched"
    PARCEL_DELIVERED = "parcel_delivered"
    DELIVERY_FAILED = "delivery_failed"
    PICKUP_READY = "pickup_ready"
    PICKUP_REMINDER = "pickup_reminder"
    PICKUP_EXPIRED = "pickup_expired"
    PARCEL_RETURNED = "parcel_returned"
    PARCEL_LOST = "parcel_lost"
    PARCEL_REFUSED = "parcel_refused"


class NoticeState(StrEnum):
    """Where a notice stands."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


ARROWS: frozenset[tuple[NoticeState, NoticeState]] = frozenset(
    {(NoticeState.PENDING, NoticeState.SENT), (NoticeState.PENDING, NoticeState.FAILED)}
)
"""Every change of state there is; the database refuses all others too."""


@dataclass(frozen=True, slots=True)
class NoticeWish:
    """Something to tell a customer of one of their parcels.

    The same wish again is the same notice: there is one of each kind a parcel, and of kinds that can come again one for each
    fact `number`. Facts are what the sentences name (see `templates`); others are left out, a code above all (F7).
    """

    parcel_id: UUID
    customer_id: UUID
    kind: NoticeKind
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The notice's id, under which the gateway gets it too."""
        return uuid5(NAMESPACE, f"{self.parcel_id}|{self.kind}|{self.facts.get('number', '')}")


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to tell, where, and in which language. Neither name nor number prints."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
    language: Language


@dataclass(frozen=True, slots=True)
class Pending:
    """A notice that waits to be sent."""

    id: UUID
    parcel_id: UUID
    kind: NoticeKind
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as staff see it. `language` is the one in which it was sent; `failure` the last reason why it was not."""

    id: UUID
    parcel_id: UUID
    kind: NoticeKind
    facts: Mapping[str, Any]
    state: NoticeState
    language: Language | None
    attempts: int
    failure: str | None
    requested_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """What the gateway is handed; `id` is the notice's, so that the same one again is no second message."""

    id: UUID
    to: str = field(repr=False)
    language: Language
    kind: NoticeKind
    text: str
