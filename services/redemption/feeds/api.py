"""Feeds over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from services.redemption.feeds.domain import BYTES_MAX, FeedKind
from services.redemption.feeds.store import Receipt
from services.redemption.feeds.use_cases import take_in_feed
from services.redemption.parts import Parts
from shared.app import new_router
from shared.audit import Actor
from shared.idempotency import REPLAYED
from shared.identity import Principal, allow, services, staff
from shared.problems import UnsupportedMediaType


class ReceiptOut(BaseModel):
    """What a file did: `new`, `changed` and `unchanged` count its lines; `points` are those of the new ones."""

    kind: str
    name: str
    sha256: str
    lines: int
    new: int
    changed: int
    unchanged: int
    points: int


def feed_router(parts: Parts) -> APIRouter:
    """The routes of feeds."""
    router = new_router()

    @router.put(
        "/v1/feeds/{kind}/{name}",
        response_model=ReceiptOut,
        max_body_size=BYTES_MAX,
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def put_feed(
        request: Request,
        kind: FeedKind,
        name: Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,128}$")],
        who: Annotated[Principal, allow(services("feeds:write"), staff("administrator"))],
    ) -> Response:
        """Take in a CSV file under the sender's own name for it: whole or not at all, and once."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/csv":
            raise UnsupportedMediaType
        receipt, again = await take_in_feed(parts, kind, name, await request.body(), Actor.of(who))
        body = _shown(receipt).model_dump_json()
        return Response(body, media_type="application/json", headers=REPLAYED if again else None)

    return router


def _shown(receipt: Receipt) -> ReceiptOut:
    return ReceiptOut(
        kind=receipt.kind,
        name=receipt.name,
        sha256=receipt.digest.hex(),
        lines=receipt.lines,
        new=receipt.new,
        changed=receipt.changed,
        unchanged=receipt.unchanged,
        points=receipt.points,
    )
