"""Reconciling over HTTP."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from services.redemption.parts import Parts
from services.redemption.reconciliation.use_cases import reconcile
from shared.app import new_router
from shared.identity import Principal, allow, services, staff


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


def reconciliation_router(parts: Parts) -> APIRouter:
    """The routes of reconciling."""
    router = new_router()

    @router.get("/internal/v1/reconciliation", response_model=ReportOut)
    async def show_reconciliation(
        who: Annotated[Principal, allow(services("reconcile:read"), staff("auditor", "administrator"))],  # noqa: ARG001
    ) -> ReportOut:
        """Compare the books of the three services now."""
        report = await reconcile(parts)
        return ReportOut(
            redemptions=report.redemptions,
            reservations=report.reservations,
            fulfillments=report.fulfillments,
            breaks=[BreakOut(service=b.service, kind=b.kind, subject=b.subject, detail=b.detail) for b in report.breaks],
        )

    return router
