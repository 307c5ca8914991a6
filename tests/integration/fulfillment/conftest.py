"""Fulfillment running on a fresh database in which M001 to M003 are known."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fulfillment import Fulfillment, know_merchants, running_fulfillment
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer


@pytest.fixture
async def fulfillment(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Fulfillment]:
    know_merchants(fulfillment_database, "M001", "M002", "M003")
    async with running_fulfillment(fulfillment_database, issuer) as running:
        yield running
