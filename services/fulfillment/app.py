"""Fulfillment's API: `uvicorn services.fulfillment.app:create --factory`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.fulfillment.books import BOOKS
from services.fulfillment.fulfillments.api import fulfillment_router
from services.fulfillment.metadata import audit_entries
from services.fulfillment.parts import make_parts
from services.fulfillment.problems import CATALOGUE
from services.fulfillment.settings import Settings
from services.fulfillment.tills.api import till_router
from services.fulfillment.vouchers.api import voucher_router
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

DESCRIPTION = "E-vouchers: issued for redemptions, kept in the customer's wallet, verified and used at merchants' tills."


def create() -> FastAPI:
    """The application of a process, from its environment."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="fulfillment")
    configure_telemetry(service="fulfillment", otlp_endpoint=settings.otlp_endpoint)
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
        title="Huangou fulfillment",
        description=DESCRIPTION,
        routers=[  # the hot routes first
            till_router(parts.lanes, parts.tills, parts.requests),
            fulfillment_router(parts.accepting, parts.fulfillments),
            voucher_router(parts.wallet, parts.cursors),
            books_router(BOOKS, parts.database),
            task_router(parts.database, Audit(audit_entries)),
        ],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(keys or PublishedKeys(settings.jwks_url), issuer=settings.issuer, audience=settings.audience),
        ready=parts.ready,
        lifespan=lifespan,
    )
