"""Every provider answers as its consumers' contracts say, and says the same when it is asked again."""

from collections.abc import Callable

import httpx
import pytest

from tests.support.catalog import batch_row, goods_row, offer_row, reward_row, running_catalog, workbook_cells
from tests.support.contracts import TAG_BEFORE, Interaction, all_of, differences
from tests.support.fulfillment import branch, running_fulfillment
from tests.support.postgres import TestDatabase
from tests.support.suite import running_suite
from tests.support.tokens import Issuer

pytestmark = [pytest.mark.anyio, pytest.mark.proves("X1")]
CATALOGS = [*all_of("redemption-catalog"), *all_of("fulfillment-catalog")]
FULFILLMENTS, OUTCOMES = all_of("redemption-fulfillment"), all_of("fulfillment-redemption")
CELLS = workbook_cells(
    rewards=[reward_row("R1"), reward_row("R2"), goods_row("R3")],
    offers=[
        offer_row("O1", "R1"),
        offer_row("O2", "R2", price_points=2500, limit_per_customer=5, limit_per_day=2),
        offer_row("O3", "R3", price_points=9000, limit_per_customer=1),
    ],
    stock_batches=[batch_row("B1", "R1"), batch_row("B2", "R2", 1)],
)
"""What every contract with the catalog stands on: plenty of O1, one unit of O2, goods as O3."""


async def send(client: httpx.AsyncClient, one: Interaction, headers: dict[str, str], tag: str) -> httpx.Response:
    asked = one.request
    own = {name: tag if value == TAG_BEFORE else value for name, value in asked.get("headers", {}).items()}
    return await client.request(
        asked["method"], asked["path"], params=asked.get("query"), json=asked.get("body"), headers={**headers, **own}
    )


async def hold_to(client: httpx.AsyncClient, contract: Interaction, headers: dict[str, str]) -> None:
    tag = ""
    for one in contract.chain():
        for time in ("first", "second"):
            answer = await send(client, one, headers, tag)
            assert answer.status_code == one.answer["status"], f"{one.id}, {time} time: {answer.text}"
            got = {"body": answer.json() if answer.content else None, "headers": dict(answer.headers)}
            needed = {name: value for name, value in one.answer.items() if name != "status"}
            assert list(differences(needed, got, one.alike)) == [], f"{one.id}, {time} time"
        tag = answer.headers.get("etag", "")


@pytest.mark.parametrize("contract", CATALOGS, ids=lambda contract: contract.id)
async def test_the_catalog_holds_to_its_contracts(
    catalog_database: TestDatabase, issuer: Issuer, contract: Interaction
) -> None:
    async with running_catalog(catalog_database, issuer) as catalog:
        assert (await catalog.load(CELLS)).status_code == 201
        assert (await catalog.publish()).status_code == 200
        await hold_to(catalog.client, contract, issuer.service(contract.pair.partition("-")[0]))


@pytest.mark.parametrize("contract", FULFILLMENTS, ids=lambda contract: contract.id)
async def test_fulfillment_holds_to_its_contracts(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, contract: Interaction
) -> None:
    async with running_fulfillment(database_of("fulfillment"), issuer) as fulfillment:
        written = await fulfillment.write_branches(branch("B001"), branch("B002", open=False))
        assert written.status_code == 200, written.text
        await hold_to(fulfillment.client, contract, issuer.service("redemption"))


@pytest.mark.parametrize("contract", OUTCOMES, ids=lambda contract: contract.id)
async def test_redemption_holds_to_its_contracts(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, contract: Interaction
) -> None:
    async with running_suite(database_of, issuer) as suite:
        await hold_to(suite.client, contract, issuer.service("fulfillment"))


async def test_a_broken_contract_is_seen() -> None:
    """A control: what is missing, of another value or of another kind is told; what is said beside it is not."""
    needed = {"items": [{"id": "a", "at": "now"}], "next": None}
    assert list(differences(needed, {"items": [{"id": "a", "at": "later", "more": 1}], "next": None}, frozenset({"at"}))) == []
    broken = [{"items": [], "next": None}, {"items": [{"id": "b", "at": "x"}], "next": None}, {"items": [{"id": "a", "at": 1}]}]
    assert [len(list(differences(needed, got, frozenset({"at"})))) for got in broken] == [1, 1, 2]
