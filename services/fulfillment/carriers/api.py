"""The address at which carriers tell what happened to parcels."""

from fastapi import APIRouter, Request, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.carriers.schemas import EventBody, TakenView
from services.fulfillment.carriers.signatures import CarrierSignatures
from services.fulfillment.carriers.use_cases import CarrierEvents
from shared.app import new_router
from shared.identity import allow_signed
from shared.strict_json import read_as

BODY_BYTES_MAX = 8 * 1024
BODY = {"required": True, "content": {"application/json": {"schema": EventBody.model_json_schema()}}}


def carrier_router(events: CarrierEvents, signatures: CarrierSignatures) -> APIRouter:
    """The route."""
    router = new_router()

    @router.post(
        "/v1/carriers/{carrier}/events",
        responses={200: {"model": TakenView}},
        dependencies=[allow_signed(signatures.verify, "carriers")],
        max_body_size=BODY_BYTES_MAX,
        openapi_extra={"requestBody": BODY},
    )
    async def take_carrier_event(request: Request, carrier: str) -> Response:
        """Take in an event of a parcel. The event's id is the carrier's: sent again, it changes nothing (G34)."""
        event = (await read_as(request, EventBody)).as_event(carrier)
        return json_answer(TakenView(id=event.id, outcome=await events.take(event)))

    return router
