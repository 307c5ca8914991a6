"""Fixtures of the catalog's integration tests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.catalog import Catalog, running_catalog
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer


@pytest.fixture
async def catalog(catalog_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Catalog]:
    async with running_catalog(catalog_database, issuer) as running:
        yield running
