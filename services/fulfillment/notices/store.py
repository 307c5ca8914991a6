"""SQL of notices."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.notices.domain import Notice, NoticeKind, NoticeState, Pending
from services.fulfillment.notices.tables import FAILURE_CHARACTERS_MAX
from shared.languages import Language

_PENDING = text(
    "SELECT id, parcel_id, kind, facts FROM notices WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'pending' ORDER BY id"
)
_SENT = text(
    """
    UPDATE notices n SET state = 'sent', language = done.language, reference = done.reference, attempts = n.attempts + 1,
           changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:languages AS text[]), CAST(:references AS text[]))
           AS done(id, language, reference)
     WHERE n.id = done.id AND n.state = 'pending'
    """
)
_NOT_SENT = text(
    """
    UPDATE notices n SET state = done.state, failure = done.failure, attempts = n.attempts + 1, changed_at = :now
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:failures AS text[])) AS done(id, state, failure)
     WHERE n.id = done.id AND n.state = 'pending'
    """
)
_PAGE = text(
    """
    SELECT id, parcel_id, kind, facts, state, language, attempts, failure, requested_at, changed_at FROM notices
     WHERE customer_id = :customer
       AND (CAST(:before AS timestamptz) IS NULL
            OR (requested_at, id) < (CAST(:before AS timestamptz), CAST(:before_id AS uuid)))
     ORDER BY requested_at DESC, id DESC LIMIT :most
    """
)


async def read_pending(conn: AsyncConnection, ids: Collection[UUID]) -> list[Pending]:
    """Those that wait to be sent."""
    found = await conn.execute(_PENDING, {"ids": list(ids)})
    return [Pending(row.id, row.parcel_id, NoticeKind(row.kind), row.facts) for row in found]


async def mark_sent(conn: AsyncConnection, now: datetime, sent: Mapping[UUID, tuple[Language, str]]) -> None:
    """Write down in which language each was sent, and under which reference the gateway has it."""
    if sent:
        ids = sorted(sent)
        languages, references = [sent[one][0] for one in ids], [sent[one][1] for one in ids]
        await conn.execute(_SENT, {"now": now, "ids": ids, "languages": languages, "references": references})


async def mark_not_sent(conn: AsyncConnection, now: datetime, why: Mapping[UUID, tuple[NoticeState, str]]) -> None:
    """Write down why each was not sent: `pending` ones will be tried again, `failed` ones never."""
    if why:
        ids = sorted(why)
        values: dict[str, Any] = {"now": now, "ids": ids, "states": [why[one][0].value for one in ids]}
        await conn.execute(_NOT_SENT, {**values, "failures": [why[one][1][:FAILURE_CHARACTERS_MAX] for one in ids]})


async def page_of(
    conn: AsyncConnection, customer_id: UUID, before: tuple[datetime, UUID] | None, most: int
) -> Sequence[Notice]:
    """A customer's notices, the newest first, behind `before`."""
    instant, notice = before or (None, None)
    rows = await conn.execute(_PAGE, {"customer": customer_id, "before": instant, "before_id": notice, "most": most})
    return [
        Notice(
            id=row.id,
            parcel_id=row.parcel_id,
            kind=NoticeKind(row.kind),
            facts=row.facts,
            state=NoticeState(row.state),
            language=row.language,
            attempts=row.attempts,
            failure=row.failure,
            requested_at=row.requested_at,
            changed_at=row.changed_at,
        )
        for row in rows
    ]
