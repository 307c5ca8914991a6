"""The world that is damaged, one for all cases: each puts back what it broke, and shows that it did."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.reconciliation.world import World, running_world
from tests.support.postgres import TestServer
from tests.support.tokens import Issuer


@pytest.fixture(scope="module")
async def world(postgres: TestServer, issuer: Issuer, anyio_backend: str) -> AsyncIterator[World]:
    async with running_world(postgres, issuer) as made:
        yield made
