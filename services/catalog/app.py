"""The catalog's API: `uvicorn services.catalog.app:create --factory`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.catalog.books import BOOKS
from services.catalog.browsing.api import browsing_router
from services.catalog.merchants.api import merchant_router
from services.catalog.metadata import audit_entries
from services.catalog.parts import make_parts
from services.catalog.problems import CATALOGUE
from services.catalog.reservations.api import reservation_router
from services.catalog.returns.api import return_router
from services.catalog.settings import Settings
from services.catalog.versions.api import version_router
from shared.app import build_app
from shared.audit import Audit
from shared.books import books_router
from shared.clock import Clock
from shared.identity import KeySource, TokenVerifier
from shared.identity.tokens import PublishedKeys
from shared.logs import configure_logs
from shared.settings import load
from shared.tasks.api import task_router
from shared.telemetry import configure_telemetry

DESCRIPTION = "Campaigns, rewards, offers, stock, quotas, budgets and merchants."


def create() -> FastAPI:
    """The application of a process, from its environment."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="catalog")
    configure_telemetry(service="catalog", otlp_endpoint=settings.otlp_endpoint)
    return build(settings)


def build(settings: Settings, *, keys: KeySource | None = None, clock: Clock | None = None) -> FastAPI:
    """The application. Tests bring their own issuer's keys and clock."""
    parts = make_parts(settings, clock=clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = parts
        yield
        await parts.close()

    return build_app(
        title="Huangou catalog",
        description=DESCRIPTION,
        routers=[  # the hot routes first
            reservation_router(parts.lanes, parts.reservations),
            return_router(parts.returning),
            browsing_router(parts.browsing),
            merchant_router(parts.merchants),
            version_router(parts.versions, parts.once),
            books_router(BOOKS, parts.database),
            task_router(parts.database, Audit(audit_entries)),
        ],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(keys or PublishedKeys(settings.jwks_url), issuer=settings.issuer, audience=settings.audience),
        ready=parts.ready,
        lifespan=lifespan,
    )
