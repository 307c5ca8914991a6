"""Reservations over HTTP, for redemption alone; bulk calls answer 200 with an outcome an item."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.catalog.reservations.domain import Line, Outcome, Wish
from services.catalog.reservations.lanes import Lanes
from services.catalog.reservations.schemas import (
    OutcomesView,
    ReservationPage,
    ReservationsBody,
    SettlementsBody,
)
from services.catalog.reservations.store import reason_to_json
from services.catalog.reservations.use_cases import Reservations, Settlement
from shared.app import new_router
from shared.hot_routes import hot
from shared.identity import Principal, allow, services
from shared.sets import as_json

Reserving = Annotated[Principal, allow(services("reservations:write"))]
Reconciling = Annotated[Principal, allow(services("internal"), services("reconcile:read"))]
PAGE_MAX = 1_000
BODY_BYTES_MAX = 256 * 1024
"""Sixty-four redemptions of ten lines are some seventy thousand bytes."""


def reservation_router(lanes: Lanes, reservations: Reservations) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.put("/internal/v1/reservations", max_body_size=BODY_BYTES_MAX, responses={200: {"model": OutcomesView}})
    @hot
    async def reserve(body: ReservationsBody, who: Reserving) -> Response:
        """Take stock, quota and budget for redemptions, each whole or not at all."""
        actor = body.actor.as_actor(who)
        wishes = [
            Wish(
                item.id,
                item.campaign,
                tuple(Line(x.number, x.offer_id, x.offer_version, x.quantity) for x in item.lines),
                actor,
            )
            for item in body.items
        ]
        return _outcomes(await asyncio.gather(*(lanes.reserve.submit(wish) for wish in wishes)))

    @router.put("/internal/v1/reservations/releases", responses={200: {"model": OutcomesView}})
    async def release(body: SettlementsBody, who: Reserving) -> Response:
        """Give back what is held; an unknown id is remembered, so that a late reservation takes nothing."""
        return _outcomes(await asyncio.gather(*(lanes.release.submit(item) for item in _settlements(body, who))))

    @router.put("/internal/v1/reservations/consumptions", responses={200: {"model": OutcomesView}})
    @hot
    async def consume(body: SettlementsBody, who: Reserving) -> Response:
        """Hand out what is held."""
        return _outcomes(await asyncio.gather(*(lanes.consume.submit(item) for item in _settlements(body, who))))

    @router.get("/internal/v1/reservations", responses={200: {"model": ReservationPage}})
    async def list_reservations(
        who: Reconciling,  # noqa: ARG001 - the policy
        after: Annotated[UUID | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 500,
    ) -> Response:
        """Every reservation in the order of ids."""
        rows = await reservations.page(after, limit)
        items = [{**row, "changed_at": row["changed_at"].isoformat()} for row in rows]
        following = str(rows[-1]["id"]) if len(rows) == limit else None
        return _json({"items": items, "next": following})

    return router


def _settlements(body: SettlementsBody, who: Principal) -> list[Settlement]:
    actor = body.actor.as_actor(who)
    return [Settlement(item.id, actor) for item in body.items]


def _outcomes(outcomes: Sequence[Outcome]) -> Response:
    items = [{"id": o.id, "outcome": o.outcome, "reasons": [reason_to_json(reason) for reason in o.reasons]} for o in outcomes]
    return _json({"items": items})


def _json(value: Any) -> Response:
    return Response(as_json(value), media_type="application/json")
