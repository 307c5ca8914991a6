"""Redemption as a web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from services.redemption.addresses.api import address_router
from services.redemption.customers.api import customer_router
from services.redemption.feeds.api import feed_router
from services.redemption.parts import make_parts
from services.redemption.points.api import points_router
from services.redemption.problems import CATALOGUE
from services.redemption.reconciliation.api import reconciliation_router
from services.redemption.redemptions.api import ending_router, redemption_router
from services.redemption.redemptions.use_cases.cancel import Cancelling
from services.redemption.redemptions.use_cases.redeem import Redeeming
from services.redemption.settings import Settings
from shared.app import build_app
from shared.clock import Clock
from shared.identity import KeySource, TokenVerifier
from shared.identity.tokens import PublishedKeys
from shared.logs import configure_logs
from shared.settings import load
from shared.tasks.api import task_router
from shared.telemetry import configure_telemetry


def create() -> FastAPI:
    """The application of a process, from its environment."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="redemption")
    configure_telemetry(service="redemption", otlp_endpoint=settings.otlp_endpoint)
    return build(settings)


def build(
    settings: Settings,
    *,
    keys: KeySource | None = None,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The application for given settings; tests bring keys, a clock, and a way to the neighbours of their own."""

    parts = make_parts(settings, clock=clock, transport=transport)
    redeeming = Redeeming(parts)
    cancelling = Cancelling(parts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = parts
        yield
        await redeeming.close()
        await cancelling.close()
        await parts.close()

    return build_app(
        title="Huangou redemption",
        description="Customers, their points, and what they redeem them for.",
        routers=[  # the hot routes first
            redemption_router(parts, redeeming),
            ending_router(parts, cancelling),
            points_router(parts),
            customer_router(parts),
            address_router(parts),
            feed_router(parts),
            reconciliation_router(parts),
            task_router(parts.database, parts.audit),
        ],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(keys or PublishedKeys(settings.jwks_url), issuer=settings.issuer, audience=settings.audience),
        ready=parts.ready,
        lifespan=lifespan,
    )
