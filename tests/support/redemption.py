"""Looking into redemption's database, mending what a test broke, and several redemption services on one database."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg

from services.redemption.app import build
from services.redemption.parts import Parts
from shared.clock import Clock
from shared.http_client import Breaker
from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, redemption_settings


def rows(database: TestDatabase, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query finds, asked as the superuser."""
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query, values).fetchall()


def one(database: TestDatabase, query: str, *values: Any) -> Any:
    """The one value that a query finds."""
    [(found,)] = rows(database, query, *values)
    return found


def execute(url: str, statement: str, *values: Any) -> None:
    """One statement as whoever the address names. Raises what the server raises."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement, values)


def hurry(database: TestDatabase) -> None:
    """Let every task that waits for its moment run now, whoever has it."""
    execute(
        database.superuser_url,
        "UPDATE tasks SET run_at = clock_timestamp() - interval '1 second', lease_until = NULL WHERE state = 'ready'",
    )


def rested(parts: Parts) -> None:
    """The neighbours are asked again at once, as after the pause of the circuit breaker."""
    for client in (parts.catalog._client, parts.fulfillment._client):
        client._breaker = Breaker()


async def mended(suite: Suite, database: TestDatabase) -> None:
    """The network is whole again, and what waited is done."""
    suite.network.faults.clear()
    suite.network.hooks.clear()
    rested(suite.redemption.state.parts)
    hurry(database)
    await suite.drain()


def code_of(answer: httpx.Response) -> str:
    """201 and such, or the code of the problem."""
    if answer.status_code < 400:
        return str(answer.status_code)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).rpartition("/")[2]


@contextlib.asynccontextmanager
async def another_redemption(suite: Suite, database: TestDatabase, *, clock: Clock | None = None) -> AsyncIterator[Suite]:
    """A second process of redemption on the same database: an application with a pool and memories of its own."""
    app = build(redemption_settings(database), keys=suite.issuer, clock=clock, transport=suite.network)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://suite.test", timeout=30) as client:
            yield Suite(**{**vars(suite), "redemption": app, "client": client})
