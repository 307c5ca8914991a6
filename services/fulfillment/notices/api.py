"""What customers were told, over HTTP, for staff who speak with them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.notices.schemas import NoticesView, NoticeView
from services.fulfillment.notices.use_cases import Notices
from shared.app import new_router
from shared.identity import Principal, allow, staff
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX, Cursors

Desk = Annotated[Principal, allow(staff("agent", "supervisor", "branch", "auditor"))]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]


def notice_router(notices: Notices, cursors: Cursors, timezone: ZoneInfo) -> APIRouter:
    """The route."""
    router = new_router()

    @router.get("/v1/customers/{customer_id}/notices", responses={200: {"model": NoticesView}})
    async def list_notices(
        who: Desk,
        customer_id: UUID,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        """What a customer was told of their parcels, the newest first: in which words, when, and whether it got through."""
        scope = f"notices-of|{customer_id}"
        position = cursors.read(scope, cursor)
        before = None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))
        found = await notices.list_of(customer_id, who, before, limit + 1)
        items = [NoticeView.of(notice, timezone) for notice in found[:limit]]
        last = found[limit - 1] if len(found) > limit else None
        following = None if last is None else cursors.make(scope, [last.requested_at.isoformat(), str(last.id)])
        return json_answer(NoticesView(items=items, next=following))

    return router
