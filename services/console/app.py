"""The console as a web application."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
from fastapi import FastAPI

from services.console.breaks.pages import break_router
from services.console.customers.cancelling import cancelling_router
from services.console.customers.pages import customer_router, finding_router
from services.console.entrance import cookies_to_set, refuse_routes_without_entrance
from services.console.failing import handle_failures, show_unexpected
from services.console.guard import FOR_MACHINES, Guard
from services.console.home.pages import home_router
from services.console.parts import make_parts
from services.console.pickups.pages import pickup_router
from services.console.sessions import Clock
from services.console.settings import Settings
from services.console.sign_in.pages import sign_in_router, sign_out_router
from services.console.tasks.pages import task_router
from shared.app import health_router
from shared.identity import KeySource
from shared.logs import configure_logs
from shared.measuring import MeasuredApp
from shared.settings import load
from shared.telemetry import TELEMETRY, configure_telemetry


def create() -> FastAPI:
    """The application of a process, from its environment."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="console")
    configure_telemetry(service="console", otlp_endpoint=settings.otlp_endpoint)
    return build(settings)


def build(
    settings: Settings,
    *,
    keys: KeySource | None = None,
    clock: Clock = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The application for given settings; tests bring keys, a clock, and a way to the services of their own."""
    parts = make_parts(settings, keys=keys, clock=clock, transport=transport)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await parts.close()

    app = MeasuredApp(
        title="Huangou console",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=TELEMETRY,  # type: ignore[arg-type]
    )
    app.state.parts = parts
    routers = [
        home_router(),
        finding_router(),
        customer_router(),
        cancelling_router(),
        pickup_router(),
        task_router(),
        break_router(),
        sign_in_router(parts),
        sign_out_router(parts),
        parts.static.router(),
        health_router(parts.ready),
    ]
    for router in routers:
        app.router.routes.extend(router.routes)
    refuse_routes_without_entrance(app, FOR_MACHINES)
    handle_failures(app)
    app.add_middleware(Guard, settings=settings, when_failed=show_unexpected, cookies_to_set=partial(cookies_to_set, parts))
    return app
