"""The three services in this process, talking to each other as they do over the network, each on a database of its own."""

import base64
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from services.catalog.campaigns.domain import offer_id
from services.fulfillment.app import build as build_fulfillment
from services.fulfillment.parts import make_parts as make_fulfillment_parts
from services.fulfillment.settings import Settings as FulfillmentSettings
from services.fulfillment.worker import make_worker as make_fulfillment_worker
from services.redemption.app import build as build_redemption
from services.redemption.reconciliation.use_cases import reconcile
from services.redemption.settings import Settings as RedemptionSettings
from services.redemption.worker import make_worker as make_redemption_worker
from shared.clock import Clock
from shared.tasks import Worker
from tests.support.catalog import CAMPAIGN, Catalog, running_catalog
from tests.support.outside import FULFILLMENT_SETTINGS, Courier, Outside
from tests.support.postgres import TestDatabase
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass
class Network(httpx.AsyncBaseTransport):
    """Stands for the network between the services: hosts by name, and faults that a test can switch on.

    `faults[host]` may be "down" (nobody listens), "lost-request" (never arrives, times out) or "lost-answer" (carried out,
    and the answer never comes).
    """

    issuer: Issuer
    hosts: dict[str, httpx.AsyncBaseTransport] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    hooks: dict[str, Callable[[], Any]] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if host == "identity.test":
            token = self.issuer.granted(request.headers["authorization"], await request.aread())
            return httpx.Response(200, json={"access_token": token, "expires_in": 300}, request=request)
        self.calls.append((host, request.method, request.url.path))
        fault = self.faults.get(host)
        if fault == "down":
            raise httpx.ConnectError("nobody listens", request=request)
        if fault == "lost-request":
            raise httpx.ReadTimeout("lost on its way", request=request)
        answer = await self.hosts[host].handle_async_request(request)
        if host in self.hooks:
            await self.hooks[host]()
        if fault == "lost-answer":
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return answer


@dataclass
class Suite:
    """The running suite."""

    catalog: Catalog
    redemption: FastAPI
    fulfillment: FastAPI
    network: Network
    issuer: Issuer
    client: httpx.AsyncClient
    tills: httpx.AsyncClient
    worker: Worker
    fulfillment_worker: Worker
    outside: Outside
    """The sandbox's courier, who tells fulfillment what happens when asked to, and its gateway for messages."""

    async def add_customers(self, *points: int, expires_on: str = "2030-12-31") -> list[str]:
        """Customers with one lot each, by feed; answers the subjects they sign in with."""
        mark = uuid.uuid4().hex[:8]
        numbers = [f"N{mark}-{n}" for n in range(len(points))]
        people = "".join(f"{n},customer-{n},客户{i},138{i:08d},gold,zh_hans\n" for i, n in enumerate(numbers))
        await self.feed("customers", f"customers-{mark}", "customer_number,subject,name,phone,tier,language\n" + people)
        given = [(number, amount) for number, amount in zip(numbers, points, strict=True) if amount]
        lines = "".join(f"{number},{amount},{expires_on},open-{number}\n" for number, amount in given)
        total = f"#total,{len(given)},{sum(amount for _, amount in given)}\n"
        header = "customer_number,points,expires_on,reference\n"
        if given:
            await self.feed("opening-balances", f"opening-{mark}", header + lines + total)
        return [f"customer-{number}" for number in numbers]

    async def feed(self, kind: str, name: str, content: str | bytes, *, expect: int = 200) -> dict[str, Any]:
        """Take in a feed as the bank's systems do."""
        headers = {**self.issuer.service("bank-feeds", "feeds:write"), "Content-Type": "text/csv"}
        body = content.encode() if isinstance(content, str) else content
        answer = await self.client.put(f"/v1/feeds/{kind}/{name}", content=body, headers=headers)
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def redeem(
        self, subject: str, *lines: tuple[str, int], version: int = 1, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Redeem (offer, quantity) lines as a customer; one of O1 when nothing is said."""
        wanted = [
            {"offer_id": str(offer_id(CAMPAIGN, offer)), "offer_version": version, "quantity": quantity}
            for offer, quantity in lines or [("O1", 1)]
        ]
        return await self.client.post(
            "/v1/redemptions",
            json={"campaign": CAMPAIGN, "lines": wanted},
            headers={**self.issuer.customer(subject), "Idempotency-Key": key or str(uuid.uuid4()), **headers},
        )

    async def me(self, subject: str) -> dict[str, Any]:
        """Who a customer is."""
        found: dict[str, Any] = (await self.client.get("/v1/me", headers=self.issuer.customer(subject))).json()
        return found

    async def points(self, subject: str) -> dict[str, Any]:
        """A customer's balance."""
        customer_id = (await self.me(subject))["customer_id"]
        answer = await self.client.get(f"/v1/customers/{customer_id}/points", headers=self.issuer.customer(subject))
        found: dict[str, Any] = answer.json()
        return found

    async def drain(self) -> None:
        """Let the workers do all that is due."""
        await self.worker.drain()
        await self.fulfillment_worker.drain()

    async def breaks(self) -> list[Any]:
        """What reconcile finds."""
        return (await reconcile(self.redemption.state.parts, settle_seconds=0.0)).breaks


def redemption_settings(database: TestDatabase, **given: Any) -> RedemptionSettings:
    """Settings for a test database."""
    usual: dict[str, Any] = {
        **_common(database, "redemption"), "catalog_url": "http://catalog.test", "fulfillment_url": "http://fulfillment.test",
        "data_keys": {"k1": KEY}, "lookup_key": KEY,
    }  # fmt: skip
    return RedemptionSettings(**{**usual, **given})


def fulfillment_settings(database: TestDatabase, **given: Any) -> FulfillmentSettings:
    """Settings for a test database."""
    usual: dict[str, Any] = {
        **_common(database, "fulfillment"), "catalog_url": "http://catalog.test", "voucher_keys": {"k1": KEY},
        "voucher_pepper": KEY, "redemption_url": "http://redemption.test", "preparing_seconds": 0,
        **FULFILLMENT_SETTINGS,
    }  # fmt: skip
    return FulfillmentSettings(**{**usual, **given})


def _common(database: TestDatabase, service: str) -> dict[str, Any]:
    return {
        "database_url": SecretStr(database.url), "issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://identity.test/keys",
        "token_url": "https://identity.test/token", "client_id": service, "client_secret": SecretStr("x"), "cursor_key": KEY,
        "pool_size": 8,
    }  # fmt: skip


@contextlib.asynccontextmanager
async def running_suite(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, *, clock: Clock | None = None, check: bool = True
) -> AsyncIterator[Suite]:
    """The three services; at the end the workers are drained and reconcile must find nothing."""
    network = Network(issuer)
    async with contextlib.AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(running_catalog(database_of("catalog"), issuer, clock=clock))
        network.hosts["catalog.test"] = httpx.ASGITransport(app=catalog.app, raise_app_exceptions=False)
        settings = fulfillment_settings(database_of("fulfillment"))
        fulfillment = build_fulfillment(settings, keys=issuer, clock=clock)
        hands = make_fulfillment_parts(settings, clock=clock, transport=network)  # the worker's own
        stack.push_async_callback(hands.close)
        network.hosts["fulfillment.test"] = httpx.ASGITransport(app=fulfillment, raise_app_exceptions=False)
        redemption = build_redemption(
            redemption_settings(database_of("redemption")), keys=issuer, clock=clock, transport=network
        )
        outside = Outside(Courier(network.hosts["fulfillment.test"]))
        network.hosts |= {"courier.test": outside.courier.transport, "notifications.test": outside.notifications.transport}
        network.hosts["redemption.test"] = httpx.ASGITransport(app=redemption, raise_app_exceptions=False)
        for app in (fulfillment, redemption):
            await stack.enter_async_context(app.router.lifespan_context(app))
        client = await stack.enter_async_context(_client(redemption))
        tills = await stack.enter_async_context(_client(fulfillment))
        suite = Suite(
            catalog=catalog,
            redemption=redemption,
            fulfillment=fulfillment,
            network=network,
            issuer=issuer,
            client=client,
            tills=tills,
            worker=make_redemption_worker(redemption.state.parts),
            fulfillment_worker=make_fulfillment_worker(hands),
            outside=outside,
        )
        yield suite
        if check:
            network.faults.clear()
            await suite.drain()
            assert not (found := await suite.breaks()), found


def _client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://suite.test", timeout=30)
