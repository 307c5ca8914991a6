"""Answers of fulfillment: JSON bytes from a model, kept by no cache, since they are about somebody or about now."""

from pydantic import BaseModel
from starlette.responses import Response


def json_answer(value: BaseModel, *, replayed: bool = False) -> Response:
    """The value as it is answered; `replayed` marks the answer to a request that was carried out before."""
    headers = {"Cache-Control": "no-store"} | ({"Idempotency-Replayed": "true"} if replayed else {})
    return Response(value.model_dump_json(), media_type="application/json", headers=headers)
