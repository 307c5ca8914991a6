"""Fixtures for the tests of the mechanisms on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.support.mechanisms import Mechanisms, make_mechanisms
from tests.support.postgres import TestServer


@pytest.fixture
async def mechanisms(postgres: TestServer) -> AsyncIterator[Mechanisms]:
    made = make_mechanisms(postgres)
    yield made
    await made.database.dispose()
    postgres.drop(made.place)
