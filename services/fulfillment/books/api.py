"""The books over HTTP, for the reconcile command."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel

from services.fulfillment.books.use_cases import Books
from shared.app import new_router
from shared.identity import Principal, allow, services
from shared.sets import as_json

Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]


class BreakView(BaseModel):
    """Something that does not add up."""

    kind: str
    subject: str
    detail: str


class BreaksView(BaseModel):
    """Empty on a healthy system."""

    items: list[BreakView]


def books_router(books: Books) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.get("/internal/v1/breaks", responses={200: {"model": BreaksView}})
    async def list_breaks(who: Reconciling) -> Response:  # noqa: ARG001 - the policy
        """Every voucher, use and fulfillment that the others do not explain."""
        found = await books.find_breaks()
        return Response(as_json({"items": [b._asdict() for b in found]}), media_type="application/json")

    return router
