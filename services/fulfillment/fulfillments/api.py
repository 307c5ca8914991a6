"""Fulfillments over HTTP, for redemption; the bulk call answers 200 with an outcome an item."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.fulfillments.domain import Outcome, Wish
from services.fulfillment.fulfillments.schemas import FulfillmentPage, FulfillmentsBody, OutcomesView
from services.fulfillment.fulfillments.use_cases import Fulfillments
from shared.app import new_router
from shared.batcher import Batcher
from shared.identity import Principal, allow, services

Internal = Annotated[Principal, allow(services("internal"))]
Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]
PAGE_MAX = 1_000
BODY_BYTES_MAX = 8 * 1024 * 1024
"""64 items of ten lines, each with its terms in three languages."""


def fulfillment_router(accepting: Batcher[Wish, Outcome], fulfillments: Fulfillments) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.put("/internal/v1/fulfillments", responses={200: {"model": OutcomesView}}, max_body_size=BODY_BYTES_MAX)
    async def accept(body: FulfillmentsBody, who: Internal) -> Response:
        """Hand out what was redeemed: e-vouchers are issued at once. Sending again is the same request."""
        actor = body.actor.as_actor(who)
        outcomes = await asyncio.gather(*(accepting.submit(item.as_wish(actor)) for item in body.items))
        return json_answer(OutcomesView.of(outcomes))

    @router.get("/internal/v1/fulfillments", responses={200: {"model": FulfillmentPage}})
    async def list_fulfillments(
        who: Reconciling,  # noqa: ARG001 - the policy
        after: Annotated[UUID | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 500,
    ) -> Response:
        """Every fulfillment in the order of ids."""
        found = await fulfillments.page(after, limit)
        return json_answer(FulfillmentPage.of(found, full=len(found) == limit))

    return router
