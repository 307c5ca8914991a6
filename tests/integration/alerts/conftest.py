"""A suite at rest, of which /metrics is read before and after something goes wrong in it."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.alerts.watch import Watch
from tests.integration.reconciliation.world import World
from tests.support.fulfillment import know_merchants
from tests.support.postgres import TestDatabase, TestServer
from tests.support.suite import running_suite
from tests.support.tokens import Issuer


@pytest.fixture(scope="module")
async def calm(postgres: TestServer, issuer: Issuer, anyio_backend: str) -> AsyncIterator[World]:
    """Two redemptions are fulfilled, nothing is under way, and the books were looked at."""
    databases: dict[str, TestDatabase] = {}

    def database_of(service: str) -> TestDatabase:
        databases[service] = postgres.database(service)
        return databases[service]

    try:
        async with running_suite(database_of, issuer, check=False) as suite:
            await suite.catalog.open()
            know_merchants(databases["fulfillment"], "M001")
            world = World(suite, databases)
            [customer] = await suite.add_customers(20_000)
            world.facts["subject"] = customer
            for name in ("one", "other"):
                world.facts[name] = (await suite.redeem(customer)).json()["id"]
            await suite.drain()
            assert await suite.breaks() == []
            yield world
    finally:
        for database in databases.values():
            postgres.drop(database)


@pytest.fixture
async def watch(calm: World) -> AsyncIterator[Watch]:
    """/metrics was read; whatever the test does to the databases is undone at its end."""
    with calm.kept("redemption"), calm.kept("fulfillment"):
        watching = Watch(calm)
        await watching.begin()
        yield watching
        calm.suite.network.faults.clear()
