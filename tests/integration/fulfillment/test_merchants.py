"""The mirror of merchants: brought from the real catalog, and from one that changes, stays away or talks nonsense."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from services.fulfillment.parts import Parts, make_parts
from services.fulfillment.worker import make_worker
from shared.clock import DatabaseClock
from shared.tasks import NewTask, Worker
from tests.support.catalog import running_catalog
from tests.support.fulfillment import Fulfillment, line, running_fulfillment, settings_of, texts
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

TERMINALS = "SELECT merchant_code, code FROM terminals ORDER BY 1, 2"


class CatalogStandIn(httpx.AsyncBaseTransport):
    """A catalog at the port, with a list that tests change; also gives the token."""

    def __init__(self) -> None:
        self.etag, self.items, self.status = '"1"', [merchant("M001", "T01")], 200
        self.asked: list[str | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 300})
        assert request.url.path == "/internal/v1/merchants"
        assert request.headers["authorization"] == "Bearer t"
        self.asked.append(request.headers.get("if-none-match"))
        if self.status != 200:
            return httpx.Response(self.status)
        if self.asked[-1] == self.etag:
            return httpx.Response(304, headers={"ETag": self.etag})
        return httpx.Response(200, content=json.dumps({"items": self.items}), headers={"ETag": self.etag})


def merchant(code: str, *terminals: str, **given: Any) -> dict[str, Any]:
    usual = {
        "code": code,
        "names": texts(f"Shop {code}"),
        "accepts_vouchers": True,
        "contract_from": "2020-01-01",
        "contract_until": "2099-12-31",
        "terminals": [{"code": terminal, "location": "desk"} for terminal in terminals],
        "something_new": 1,
    }
    return {**usual, **given}


def rows(database: TestDatabase, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query).fetchall()


async def mirror_once(parts: Parts, worker: Worker) -> None:
    async with parts.database.transaction() as conn:
        now = await DatabaseClock().now(conn)
        await parts.tasks.add(conn, [NewTask(kind="mirror_merchants", run_at=now, dedupe_key="mirror_merchants")])
    await worker.drain()


@pytest.mark.proves("K10")
async def test_the_mirror_follows_the_catalog_and_asks_with_its_tag(fulfillment_database: TestDatabase) -> None:
    catalog = CatalogStandIn()
    parts = make_parts(settings_of(fulfillment_database), transport=catalog)
    worker = make_worker(parts)
    await mirror_once(parts, worker)
    await mirror_once(parts, worker)
    assert catalog.asked == [None, '"1"']
    assert rows(fulfillment_database, TERMINALS) == [("M001", "T01")]
    catalog.etag, catalog.items = '"2"', [merchant("M001", "T02"), merchant("M002", "T01", "T02")]
    await mirror_once(parts, worker)
    assert rows(fulfillment_database, TERMINALS) == [("M001", "T02"), ("M002", "T01"), ("M002", "T02")]
    catalog.etag, catalog.items = '"3"', [merchant("M002", accepts_vouchers=False)]
    await mirror_once(parts, worker)
    assert rows(fulfillment_database, "SELECT code, accepts_vouchers FROM merchants") == [("M002", False)]
    assert rows(fulfillment_database, TERMINALS) == []
    await parts.close()


@pytest.mark.proves("K10", "X3")
@pytest.mark.parametrize("wrong", ["away", "nonsense", "half"])
async def test_a_catalog_that_does_not_answer_leaves_the_mirror_as_it_was(
    fulfillment_database: TestDatabase, wrong: str
) -> None:
    catalog = CatalogStandIn()
    parts = make_parts(settings_of(fulfillment_database), transport=catalog)
    worker = make_worker(parts)
    await mirror_once(parts, worker)
    catalog.etag = '"2"'
    if wrong == "away":
        catalog.status = 503
    else:
        catalog.items = [{"code": "M9"}] if wrong == "half" else [merchant("M9", contract_from="yesterday")]
    await mirror_once(parts, worker)
    assert rows(fulfillment_database, TERMINALS) == [("M001", "T01")]
    assert rows(fulfillment_database, "SELECT state, failures > 0 FROM tasks WHERE state = 'ready'") == [("ready", True)]
    await parts.close()


@pytest.mark.proves("K10", "F5", "X1")
async def test_a_till_of_the_real_catalogs_merchant_is_let_in(
    catalog_database: TestDatabase, fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    async with (
        running_catalog(catalog_database, issuer) as catalog,
        running_fulfillment(fulfillment_database, issuer) as running,
    ):
        await catalog.open()
        [code] = await running.issue(line(1))
        assert (await running.verify(code)).status_code == 403
        transport = RealCatalog(catalog.client, issuer)
        parts = make_parts(settings_of(fulfillment_database), transport=transport)
        worker = make_worker(parts)
        await mirror_once(parts, worker)
        await mirror_once(parts, worker)
        assert transport.statuses == [200, 304]
        await parts.close()
        assert (await running.verify(code)).status_code == 200
        assert (await running.use(code)).status_code == 200


class RealCatalog(httpx.AsyncBaseTransport):
    """Passes calls on to the catalog's application in this process."""

    def __init__(self, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.client, self.issuer = client, issuer
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            token = self.issuer.granted(request.headers["authorization"], await request.aread())
            return httpx.Response(200, json={"access_token": token, "expires_in": 300})
        answer = await self.client.request(request.method, request.url.path, headers=request.headers)
        self.statuses.append(answer.status_code)
        return httpx.Response(answer.status_code, headers={"ETag": answer.headers["etag"]}, content=answer.content)


async def test_the_schedules_bring_the_mirror_and_the_expiry(fulfillment: Fulfillment) -> None:
    worker = make_worker(fulfillment.parts)
    await worker._tick()
    async with fulfillment.parts.database.transaction() as conn:
        kinds = ["mirror_merchants", "expire_vouchers"]
        claims = await fulfillment.parts.tasks.claim(conn, kinds, 10)
    assert sorted(claim.kind for claim in claims) == sorted(kinds)
