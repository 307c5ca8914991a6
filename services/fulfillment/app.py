"""Fulfillment's API: `uvicorn services.fulfillment.app:create --factory`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.fulfillment.books import BOOKS
from services.fulfillment.branches.api import branch_router
from services.fulfillment.carriers.api import carrier_router
from services.fulfillment.fulfillments.api import fulfillment_router
from services.fulfillment.metadata import audit_entries
from services.fulfillment.notices.api import notice_router
from services.fulfillment.parcels.api import parcel_router
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

DESCRIPTION = (
    "What customers get for redemptions: e-vouchers, verified and used at merchants' tills; goods by courier, or to be "
    "collected at a branch of the bank."
)


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
            fulfillment_router(parts.accepting, parts.fulfillments, parts.cancelling, parts.fingerprints),
            voucher_router(parts.wallet, parts.cursors),
            parcel_router(parts.parcels, parts.counter, parts.at_counter, parts.losses, parts.cursors),
            branch_router(parts.branches),
            carrier_router(parts.carrier_events, parts.signatures),
            notice_router(parts.notices, parts.cursors, settings.bank_timezone),
            books_router(BOOKS, parts.database),
            task_router(parts.database, Audit(audit_entries)),
        ],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(keys or PublishedKeys(settings.jwks_url), issuer=settings.issuer, audience=settings.audience),
        ready=parts.ready,
        lifespan=lifespan,
    )
