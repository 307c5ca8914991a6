"""The suite in one process, with a small campaign in force."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

Databases = Callable[[str], TestDatabase]


@pytest.fixture
def databases(database_of: Databases) -> Databases:
    """`databases("redemption")`: this test's own database of a service, the one that its suite runs on."""
    made: dict[str, TestDatabase] = {}

    def database(service: str) -> TestDatabase:
        if service not in made:
            made[service] = database_of(service)
        return made[service]

    return database


@pytest.fixture
def ledger(databases: Databases) -> TestDatabase:
    """Redemption's database."""
    return databases("redemption")


@pytest.fixture
async def bare_suite(databases: Databases, issuer: Issuer, anyio_backend: str) -> AsyncIterator[Suite]:
    """No campaign yet: the test opens its own."""
    async with running_suite(databases, issuer) as running:
        yield running


@pytest.fixture
async def suite(bare_suite: Suite) -> Suite:
    await bare_suite.catalog.open()
    return bare_suite
