"""Answers of the routes of notices."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from services.fulfillment.notices.domain import Notice, NoticeKind, NoticeState
from services.fulfillment.notices.templates import render_all
from services.fulfillment.views import TextView


class NoticeView(BaseModel):
    """A notice. `language` is the one in which it was sent, null before; `failure` the last reason why it was not.

    `text` is what it says, in all languages, so that whoever speaks with the customer can read it out.
    """

    id: UUID
    parcel_id: UUID
    kind: NoticeKind
    text: TextView
    state: NoticeState
    language: str | None
    attempts: int
    failure: str | None
    requested_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, notice: Notice, timezone: ZoneInfo) -> "NoticeView":
        """The notice as it is answered."""
        return cls(
            id=notice.id,
            parcel_id=notice.parcel_id,
            kind=notice.kind,
            text=TextView.of(render_all(notice.kind, notice.facts, timezone)),
            state=notice.state,
            language=notice.language,
            attempts=notice.attempts,
            failure=notice.failure,
            requested_at=notice.requested_at,
            changed_at=notice.changed_at,
        )


class NoticesView(BaseModel):
    """Notices, the newest first; `next` is the cursor of the following page, null at the end."""

    items: list[NoticeView]
    next: str | None
