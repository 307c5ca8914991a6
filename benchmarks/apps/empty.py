"""Redemption without the work: the same application, policy and body, an answer of the same form, and no database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Response

from services.redemption.problems import CATALOGUE
from services.redemption.redemptions.schemas import RedemptionWish
from services.redemption.settings import Settings
from shared.app import build_app, new_router
from shared.identity import Principal, TokenVerifier, allow, customers
from shared.identity.tokens import PublishedKeys
from shared.logs import configure_logs
from shared.settings import load
from shared.telemetry import configure_telemetry


def create() -> FastAPI:
    """The application of a process, from redemption's environment."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="empty")
    configure_telemetry(service="empty", otlp_endpoint=settings.otlp_endpoint)
    router = new_router()

    @router.post("/v1/redemptions", status_code=201)
    async def redeem(
        wish: RedemptionWish,
        who: Annotated[Principal, allow(customers("redemptions:write"))],
    ) -> Response:
        """Read the token and the body, and answer."""
        body = f'{{"customer":"{who.subject}","lines":{len(wish.lines)}}}'
        return Response(body, status_code=201, media_type="application/json")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    return build_app(
        title="Nothing",
        description="An authenticated POST that touches no database.",
        routers=[router],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(PublishedKeys(settings.jwks_url), issuer=settings.issuer, audience=settings.audience),
        ready=ready,
        lifespan=lifespan,
    )
