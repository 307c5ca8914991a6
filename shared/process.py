"""A worker as a process: its loop, its small port for health and metrics, and a clean end on SIGTERM."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol, TypeVar

import uvicorn
from fastapi import FastAPI

from shared.app import Ready, health_router
from shared.logs import configure_logs
from shared.settings import ServiceSettings, load
from shared.tasks import Worker
from shared.telemetry import configure_telemetry


class Parts(Protocol):
    """What a service's worker is made of, as far as its process must know."""

    async def ready(self) -> dict[str, bool]:
        """What this process needs, and whether it is there."""

    async def close(self) -> None:
        """Let go of the database and the network."""


LOOPBACK = "127.0.0.1"

S = TypeVar("S", bound=ServiceSettings)
P = TypeVar("P", bound=Parts)


def run_worker(service: str, settings_kind: type[S], make_parts: Callable[[S], P], make_worker: Callable[[P], Worker]) -> None:
    """The whole life of a service's worker process, from its environment to SIGTERM."""
    settings = load(settings_kind)
    configure_logs(settings.log_level, service=f"{service}-worker")
    configure_telemetry(service=f"{service}-worker", otlp_endpoint=settings.otlp_endpoint)

    async def life() -> None:
        parts = make_parts(settings)
        try:
            await serve_worker(make_worker(parts), parts.ready, host=settings.worker_host, port=settings.worker_port)
        finally:
            await parts.close()

    asyncio.run(life())


async def serve_worker(worker: Worker, ready: Ready, *, host: str = LOOPBACK, port: int | None) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in hand."""
    loop = asyncio.get_running_loop()
    server = _health_server(ready, host, port) if port is not None else None

    def stop() -> None:
        worker.stop()
        if server is not None:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        if server is not None:
            group.create_task(server.serve())


def _health_server(ready: Ready, host: str, port: int) -> uvicorn.Server:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.extend(health_router(ready).routes)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # the worker listens for them
    return server
