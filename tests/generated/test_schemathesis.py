"""Schemathesis sends what the documents allow and what they do not; nothing answers 5xx, and answers are as documented."""

import asyncio
import contextlib
import copy
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from schemathesis.engine import Status, events, from_schema

from tests.support.catalog import XLSX
from tests.support.routes import ROUTES, SERVICES, Route
from tests.support.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.proves("G42", "X4")]
SOAK = os.environ.get("HUANGOU_SOAK") == "1"
EXAMPLES_MAX = 200 if SOAK else 4


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application behind a real socket, in this event loop, where its database pool lives; its address."""
    # A socket made from its descriptor knows that it speaks TCP, and only then asyncio sends small answers without waiting.
    listening = socket.socket(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@schemathesis.serializer(XLSX, "text/csv")
def as_bytes(ctx: schemathesis.SerializationContext, value: Any) -> Any:
    """A workbook or a feed is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


def with_examples(document: dict[str, Any], world: World, routes: list[Route]) -> dict[str, Any]:
    """The document with a request of each route that succeeds, from which the examples are taken."""
    filled = copy.deepcopy(document)
    for route in routes:
        operation, sample = filled["paths"][route.path][route.method.lower()], route.sample(world)
        for parameter in operation.get("parameters", []):
            known = {**sample.path, **sample.query, **sample.headers}.get(parameter.get("name"))
            if known is not None:
                parameter["example"] = known
        if sample.body is not None and sample.media == "application/json":
            operation["requestBody"]["content"][sample.media]["example"] = sample.body
    return filled


def settings(url: str, world: World, routes: list[Route]) -> schemathesis.Config:
    """All phases but the stateful one, without a memory of earlier runs; every operation is called by somebody who may."""
    callers = world.callers()
    return schemathesis.Config.from_dict(
        {
            "base-url": url,
            "generation": {
                "max-examples": EXAMPLES_MAX,
                "database": "none",
                "allow-x00": False,  # NUL is never text here
                "deterministic": not SOAK,  # `make test` asks the same each time; the long form goes and looks for more
            },
            "phases": {"stateful": {"enabled": False}},
            # A cursor is signed and a workbook is checked: what no schema can say is refused with 422.
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "422", "429"]}},
            "request-timeout": 20.0,
            "warnings": False,
            "operations": [
                {"include-name": f"{r.method} {r.path}", "headers": callers[r.sample(world).caller]} for r in routes
            ],
        }
    )


def run(document: dict[str, Any], config: schemathesis.Config) -> tuple[int, list[str]]:
    """How many requests were made, and every failure in words. Blocks, so it has a thread of its own."""
    schema = schemathesis.openapi.from_dict(document, config=config)
    requests, failures = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            failures += list(told(event))
        elif isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(repr(event))
    return requests, failures


def told(event: events.ScenarioFinished) -> list[str]:
    found = []
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                failure = check.failure_info.failure
                found.append(f"{event.label} [{event.phase}] {check.name}: {failure.title} {failure.message[:600]}")
                found[-1] += f"\n    {check.failure_info.code_sample[:400]} ({case_id})"
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_what_schemathesis_sends_is_answered_as_documented(world: World, service: str) -> None:
    routes = [route for route in ROUTES if route.service == service]
    async with served(world.app(service)) as url:
        document = with_examples(world.app(service).openapi(), world, routes)
        requests, failures = await to_thread.run_sync(run, document, settings(url, world, routes))
    assert requests > 10 * len(routes)
    assert not failures, f"{len(failures)} failures in {requests} requests:\n" + "\n".join(sorted(set(failures))[:40])
