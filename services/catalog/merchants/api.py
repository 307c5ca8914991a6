"""Merchants over HTTP, for the services; asked often, so answered with an ETag."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from services.catalog.answers import NOT_MODIFIED, cached_answer, encode
from services.catalog.merchants.schemas import MerchantsView
from services.catalog.merchants.use_cases import Merchants
from shared.app import new_router
from shared.identity import Principal, allow, services

Internal = Annotated[Principal, allow(services("internal"))]


def merchant_router(merchants: Merchants) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.get("/internal/v1/merchants", responses={200: {"model": MerchantsView}, **NOT_MODIFIED})
    async def list_merchants(request: Request, who: Internal) -> Response:  # noqa: ARG001 - the policy
        """Every merchant with its terminals; 304 for whoever has the newest list."""
        return cached_answer(request, encode({"items": await merchants.list_all()}))

    return router
