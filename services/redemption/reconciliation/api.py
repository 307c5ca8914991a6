"""Reconciling over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.redemption.parts import Parts
from services.redemption.reconciliation import store
from services.redemption.reconciliation.domain import KnownBreak
from services.redemption.reconciliation.use_cases import reconcile
from shared.app import new_router
from shared.audit import Actor
from shared.identity import Principal, allow, services, staff
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX


class BreakOut(BaseModel):
    """Something in the books that cannot be."""

    service: str
    kind: str
    subject: str
    detail: str


class ReportOut(BaseModel):
    """How many of each were compared, and what does not fit."""

    redemptions: int
    reservations: int
    fulfillments: int
    breaks: list[BreakOut]


class KnownBreakOut(BreakOut):
    """A break with its story: the team that mends it, since when it is known, for how many seconds it has been or was there."""

    id: UUID
    owner: str
    first_seen_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None
    age_seconds: int


class KnownBreaksPage(BaseModel):
    """A page of breaks, the newest first; `next` is the cursor of the next page; and when the last good run ended."""

    items: list[KnownBreakOut]
    next: str | None
    last_good_run_at: datetime | None


def reconciliation_router(parts: Parts) -> APIRouter:
    """The routes of reconciling."""
    router = new_router()

    @router.get("/internal/v1/reconciliation", response_model=ReportOut)
    async def show_reconciliation(
        who: Annotated[Principal, allow(services("reconcile:read"), staff("auditor", "administrator"))],
    ) -> ReportOut:
        """Compare the books of the three services now; what is found is kept as the runs of every five minutes keep it."""
        report = await reconcile(parts, asked_by=Actor.of(who).name)
        return ReportOut(
            redemptions=report.redemptions,
            reservations=report.reservations,
            fulfillments=report.fulfillments,
            breaks=[BreakOut(service=b.service, kind=b.kind, subject=b.subject, detail=b.detail) for b in report.breaks],
        )

    @router.get("/internal/v1/breaks", response_model=KnownBreaksPage)
    async def list_breaks(
        who: Annotated[Principal, allow(services("reconcile:read"), staff("auditor", "administrator", "supervisor"))],  # noqa: ARG001
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> KnownBreaksPage:
        """What reconciling has found: what is open (`open=true`), what is gone (`open=false`), or both. Changes nothing."""
        scope = f"breaks|{is_open}"
        position = parts.cursors.read(scope, cursor)
        async with parts.database.transaction() as conn:
            now = await parts.clock.now(conn)
            before = UUID(position[0]) if position else None
            found = await store.read_breaks(conn, is_open=is_open, before=before, most=limit + 1)
            last_good_run_at = await store.read_last_good(conn)
        more = parts.cursors.make(scope, [found[limit - 1].id]) if len(found) > limit else None
        return KnownBreaksPage(items=[_shown(b, now) for b in found[:limit]], next=more, last_good_run_at=last_good_run_at)

    return router


def _shown(known: KnownBreak, now: datetime) -> KnownBreakOut:
    return KnownBreakOut(
        service=known.service,
        kind=known.kind,
        subject=known.subject,
        detail=known.detail,
        id=known.id,
        owner=known.owner,
        first_seen_at=known.first_seen_at,
        last_seen_at=known.last_seen_at,
        ended_at=known.ended_at,
        age_seconds=max(0, int(((known.ended_at or now) - known.first_seen_at).total_seconds())),
    )
