"""Answers of fulfillment: JSON bytes from a model. What is about somebody or about now is kept by no cache."""

import hashlib
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has the newest already."}}
"""For the documentation of routes that answer with an ETag."""


def json_answer(value: BaseModel, *, replayed: bool = False) -> Response:
    """The value as it is answered; `replayed` marks the answer to a request that was carried out before."""
    headers = {"Cache-Control": "no-store"} | ({"Idempotency-Replayed": "true"} if replayed else {})
    return Response(value.model_dump_json(), media_type="application/json", headers=headers)


def tagged_answer(request: Request, value: BaseModel) -> Response:
    """The value with an ETag that follows from it, or 304 for whoever has it already."""
    body = value.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if "*" in held or etag in held:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
