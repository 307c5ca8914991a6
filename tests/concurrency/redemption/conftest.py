"""Two redemption processes on one database, and what looks into it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from tests.support.postgres import TestDatabase
from tests.support.redemption import another_redemption
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer


@dataclass
class Pair:
    """Two applications with pools of their own on one database; the campaign is the test's to open."""

    one: Suite
    other: Suite
    ledger: TestDatabase

    def node(self, number: int) -> Suite:
        """Every second caller comes to the other process."""
        return self.other if number % 2 else self.one


@pytest.fixture
async def pair(database_of: Callable[[str], TestDatabase], issuer: Issuer, anyio_backend: str) -> AsyncIterator[Pair]:
    made: dict[str, TestDatabase] = {}

    def database(service: str) -> TestDatabase:
        return made.setdefault(service, made.get(service) or database_of(service))

    async with (
        running_suite(database, issuer) as suite,
        another_redemption(suite, made["redemption"]) as other,
    ):
        yield Pair(suite, other, made["redemption"])
