"""Reservations over HTTP on a real database."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.catalog.campaigns.domain import offer_id
from tests.support.catalog import CAMPAIGN, Catalog, batch_row, offer_row, reward_row, row, running_catalog
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def catalog(catalog_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Catalog]:
    async with running_catalog(catalog_database, issuer) as running:
        yield running


def wish(*lines: tuple[str, int], version: int = 1, **given: Any) -> dict[str, Any]:
    found = [
        {"number": n, "offer_id": str(offer_id(CAMPAIGN, offer)), "offer_version": version, "quantity": quantity}
        for n, (offer, quantity) in enumerate(lines or [("O1", 1)], start=1)
    ]
    return {"id": str(uuid.uuid4()), "campaign": CAMPAIGN, "lines": found, **given}


async def test_a_unit_is_held_and_consumed(catalog: Catalog) -> None:
    await catalog.open()
    one = wish()
    assert await catalog.put("reservations", [one]) == [{"id": one["id"], "outcome": "held", "reasons": []}]
    assert (await catalog.put("reservations/consumptions", [{"id": one["id"]}]))[0]["outcome"] == "consumed"
    assert (await catalog.put("reservations/releases", [{"id": one["id"]}]))[0]["outcome"] == "consumed"
