"""Fixtures for every test."""

import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import structlog

from tests.support.postgres import TestDatabase, TestServer, test_server
from tests.support.tokens import Issuer

# `make test` tries the same examples each time, so that red means that something changed; the long forms look for new ones.
hypothesis.settings.register_profile("steady", derandomize=True)
if os.environ.get("HUANGOU_SOAK") != "1":
    hypothesis.settings.load_profile("steady")

pytest_plugins = ["tests.support.proves"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Rich would print every local variable of every frame: seconds of work for each error that a test provokes."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    with test_server() as server:
        yield server


@pytest.fixture
def database_of(postgres: TestServer) -> Iterator[Callable[[str], TestDatabase]]:
    """`database_of("catalog")`: a fresh migrated database of a service."""
    made: list[TestDatabase] = []

    def make(service: str) -> TestDatabase:
        made.append(postgres.database(service))
        return made[-1]

    yield make
    for database in made:
        postgres.drop(database)


@pytest.fixture
def catalog_database(database_of: Callable[[str], TestDatabase]) -> TestDatabase:
    return database_of("catalog")


@pytest.fixture
def redemption_database(database_of: Callable[[str], TestDatabase]) -> TestDatabase:
    return database_of("redemption")


@pytest.fixture
def fulfillment_database(database_of: Callable[[str], TestDatabase]) -> TestDatabase:
    return database_of("fulfillment")


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()
