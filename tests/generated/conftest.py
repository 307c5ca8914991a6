"""One running suite for all generated tests: what they send is refused, or stands beside each other."""

from collections.abc import AsyncIterator, Iterator

import pytest

from services.redemption.reconciliation.use_cases import reconcile
from tests.support.postgres import TestDatabase, TestServer
from tests.support.tokens import Issuer
from tests.support.world import World, running_world


@pytest.fixture(scope="package")
def made(postgres: TestServer) -> Iterator[list[TestDatabase]]:
    databases: list[TestDatabase] = []
    yield databases
    for database in databases:
        postgres.drop(database)


@pytest.fixture(scope="package")
async def world(postgres: TestServer, made: list[TestDatabase], issuer: Issuer, anyio_backend: str) -> AsyncIterator[World]:
    def database_of(service: str) -> TestDatabase:
        made.append(postgres.database(service))
        return made[-1]

    # Bulk calls leave breaks here, and three seconds for each look at the books would be most of their time.
    patience = reconcile.__kwdefaults__
    reconcile.__kwdefaults__ = {**patience, "settle_seconds": 0.0}
    async with running_world(database_of, issuer) as running:
        yield running
    reconcile.__kwdefaults__ = patience
