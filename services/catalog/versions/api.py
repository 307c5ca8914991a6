"""Workbooks and versions over HTTP: load, export, publish; and offer versions for the other services."""

import hashlib
from datetime import datetime
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.answers import FOR_EVER, NOT_MODIFIED, cached_answer, encode
from services.catalog.reservations.schemas import VERSION_MAX
from services.catalog.versions.schemas import LoadedView, OfferVersionView, PublishedView
from services.catalog.versions.use_cases import Versions
from services.catalog.workbooks.domain import Parsed, parse_workbook
from services.catalog.workbooks.errors import WorkbookRefused
from services.catalog.workbooks.reading import BYTES_MAX
from shared.app import new_router
from shared.audit import Actor
from shared.idempotency import NEEDS_KEY, Once, attempt_of
from shared.identity import Principal, allow, services, staff
from shared.problems import UnsupportedMediaType
from shared.sets import as_json

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

CampaignManager = Annotated[Principal, allow(staff("campaign_manager"), services("campaigns:write"))]
Internal = Annotated[Principal, allow(services("internal"))]
CampaignCode = Annotated[str, Path(max_length=32, pattern=r"^[A-Z0-9][A-Z0-9_-]*$")]
Number = Annotated[int, Path(ge=1, le=VERSION_MAX)]

_XLSX_BODY = {"requestBody": {"required": True, "content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}}


def version_router(versions: Versions, once: Once) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.post(
        "/v1/workbooks",
        status_code=201,
        responses={201: {"model": LoadedView}},
        openapi_extra=NEEDS_KEY | _XLSX_BODY,
        max_body_size=BYTES_MAX,
    )
    async def load_workbook(request: Request, who: CampaignManager) -> Response:
        """Load a workbook as the next version of its campaign; all errors at once, or everything is kept."""
        body = await _xlsx(request)
        digest = hashlib.sha256(body).digest()
        attempt_of(request, who, digest)  # a missing key is said before the workbook is read
        parsed = await to_thread.run_sync(_parse, body)

        async def work(conn: AsyncConnection, now: datetime) -> tuple[int, bytes, str | None]:
            if isinstance(parsed, WorkbookRefused):
                raise parsed
            loaded = await versions.load_workbook(conn, now, parsed, Actor.of(who, reason="workbook"))
            answer = {"campaign": loaded.campaign, "version": loaded.version, "created": loaded.created}
            return 201, as_json(answer).encode(), f"/v1/campaigns/{loaded.campaign}/versions/{loaded.version}/workbook"

        return await once.respond(request, who, digest, work)

    @router.get(
        "/v1/campaigns/{code}/versions/{number}/workbook",
        responses={200: {"content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}},
        response_class=Response,
    )
    async def export_workbook(code: CampaignCode, number: Number, who: CampaignManager) -> Response:  # noqa: ARG001
        """The workbook of a version, as it was loaded."""
        body = await versions.export_workbook(code, number)
        name = f'attachment; filename="{code}-{number}.xlsx"'
        return Response(body, media_type=XLSX, headers={"Content-Disposition": name, "Cache-Control": "no-store"})

    @router.post(
        "/v1/campaigns/{code}/versions/{number}/publication",
        responses={200: {"model": PublishedView}},
        openapi_extra=NEEDS_KEY,
    )
    async def publish_version(code: CampaignCode, number: Number, request: Request, who: CampaignManager) -> Response:
        """Put a version in force: from this answer on its prices, stock and quotas hold."""

        async def work(conn: AsyncConnection, now: datetime) -> tuple[int, bytes, str | None]:
            published = await versions.publish_version(conn, now, code, number, Actor.of(who, reason="publication"))
            answer = {"campaign": published.campaign, "version": published.version, "state": published.state.value}
            return 200, as_json(answer).encode(), None

        return await once.respond(request, who, b"", work)

    @router.get(
        "/internal/v1/offers/{offer_id}/versions/{number}", responses={200: {"model": OfferVersionView}, **NOT_MODIFIED}
    )
    async def read_offer_version(offer_id: UUID, number: Number, request: Request, who: Internal) -> Response:  # noqa: ARG001
        """What a version of an offer says: reward, price, limits, terms. It never changes."""
        return cached_answer(request, encode(await versions.read_offer_version(offer_id, number)), cache=FOR_EVER)

    return router


def _parse(body: bytes) -> Parsed | WorkbookRefused:
    """Reading takes a while, so it is done in a thread; its refusal is kept under the key like any other."""
    try:
        return parse_workbook(body)
    except WorkbookRefused as refused:
        return refused


async def _xlsx(request: Request) -> bytes:
    """The body. Raises UnsupportedMediaType."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in (XLSX, "application/octet-stream"):
        raise UnsupportedMediaType
    return await request.body()
