"""Return documents over HTTP, for redemption alone: it alone decides what comes back."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Response

from services.catalog.reservations.domain import Outcome
from services.catalog.returns.domain import GivesBack, Return, ReturnedLine
from services.catalog.returns.schemas import ReturnOutcomesView, ReturnsBody
from shared.app import new_router
from shared.batcher import Batcher
from shared.identity import Principal, allow, services
from shared.sets import as_json

BODY_BYTES_MAX = 128 * 1024
"""Sixty-four documents of ten lines are some thirty thousand bytes."""


def return_router(returns: Batcher[Return, Outcome]) -> APIRouter:
    """The route."""
    router = new_router()

    @router.put(
        "/internal/v1/reservations/returns", max_body_size=BODY_BYTES_MAX, responses={200: {"model": ReturnOutcomesView}}
    )
    async def give_back(body: ReturnsBody, who: Annotated[Principal, allow(services("reservations:write"))]) -> Response:
        """Give back units of reservations, with their places in quota and budget or without; each document is taken once."""
        actor = body.actor.as_actor(who)
        documents = [
            Return(
                item.id,
                item.reservation_id,
                GivesBack(item.gives_back),
                tuple(ReturnedLine(line.number, line.quantity) for line in item.lines),
                actor,
            )
            for item in body.items
        ]
        outcomes = await asyncio.gather(*(returns.submit(document) for document in documents))
        items = [{"id": outcome.id, "outcome": outcome.outcome} for outcome in outcomes]
        return Response(as_json({"items": items}), media_type="application/json")

    return router
