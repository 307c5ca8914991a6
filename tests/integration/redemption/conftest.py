"""The suite in one process, with a small campaign in force."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer


@pytest.fixture
async def suite(database_of: Callable[[str], TestDatabase], issuer: Issuer, anyio_backend: str) -> AsyncIterator[Suite]:
    async with running_suite(database_of, issuer) as running:
        await running.catalog.open()
        yield running
