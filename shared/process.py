"""A worker as a process: its loop, its small port for health and metrics, and a clean end on SIGTERM."""

import asyncio
import signal
from contextlib import nullcontext

import uvicorn
from fastapi import FastAPI

from shared.app import Ready, health_router
from shared.tasks import Worker


async def serve_worker(worker: Worker, ready: Ready, *, port: int | None) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in hand."""
    loop = asyncio.get_running_loop()
    server = _health_server(ready, port) if port is not None else None

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


def _health_server(ready: Ready, port: int) -> uvicorn.Server:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.extend(health_router(ready).routes)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # the worker listens for them
    return server
