"""Fulfillments over HTTP, for redemption; the bulk call answers 200 with an outcome an item."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.fulfillments.cancelling import Cancellation
from services.fulfillment.fulfillments.domain import ITEMS_MAX, Outcome, Stopped, Wish
from services.fulfillment.fulfillments.fingerprints import Fingerprints
from services.fulfillment.fulfillments.schemas import CancellationsBody, FulfillmentsBody
from services.fulfillment.fulfillments.use_cases import Fulfillments
from services.fulfillment.fulfillments.views import CancellationsView, FulfillmentPage, OutcomesView, StoppedView
from shared.app import new_router
from shared.batcher import Batcher
from shared.hot_routes import hot
from shared.identity import Principal, allow, services

Fulfilling = Annotated[Principal, allow(services("fulfillments:write"))]
Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]
PAGE_MAX = 1_000
BODY_BYTES_MAX = 8 * 1024 * 1024
"""64 items of ten lines, each with its terms in three languages."""


def fulfillment_router(
    accepting: Batcher[Wish, Outcome],
    fulfillments: Fulfillments,
    cancelling: Batcher[Cancellation, Stopped],
    fingerprints: Fingerprints,
) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.put("/internal/v1/fulfillments", responses={200: {"model": OutcomesView}}, max_body_size=BODY_BYTES_MAX)
    @hot
    async def accept(body: FulfillmentsBody, who: Fulfilling) -> Response:
        """Hand out what was redeemed: e-vouchers at once, goods as a parcel. Sending again is the same request."""
        actor = body.actor.as_actor(who)
        outcomes = await asyncio.gather(*(accepting.submit(item.as_wish(actor, fingerprints)) for item in body.items))
        return json_answer(OutcomesView.of(outcomes))

    @router.put("/internal/v1/fulfillments/cancellations", responses={200: {"model": CancellationsView}})
    async def cancel(body: CancellationsBody, who: Fulfilling) -> Response:
        """Stop what has not left. One that comes before its creation stops it. Sending again is the same request."""
        actor = body.actor.as_actor(who)
        stopped = await asyncio.gather(*(cancelling.submit(Cancellation(item.id, actor)) for item in body.items))
        return json_answer(CancellationsView(items=[StoppedView.of(one) for one in stopped]))

    @router.get("/internal/v1/fulfillments", responses={200: {"model": FulfillmentPage}})
    async def list_fulfillments(
        who: Reconciling,  # noqa: ARG001 - the policy
        after: Annotated[UUID | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 500,
        ids: Annotated[list[UUID] | None, Query(max_length=ITEMS_MAX)] = None,
    ) -> Response:
        """Every fulfillment in the order of ids; or those of `ids` (repeated) that are there, all at once."""
        if ids is not None:
            return json_answer(FulfillmentPage.of(await fulfillments.some(ids), full=False))
        found = await fulfillments.page(after, limit)
        return json_answer(FulfillmentPage.of(found, full=len(found) == limit))

    return router
