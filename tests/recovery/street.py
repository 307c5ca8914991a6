"""The suite in one process on a network with faults: one call goes wrong in a given way, then time passes."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest

from services.redemption.redemptions.use_cases import redeem
from shared import failpoints
from tests.recovery.load import UNDER_WAY, effects, is_final, whole
from tests.recovery.looks import Looks, looking
from tests.support.catalog import batch_row, offer_row, reward_row
from tests.support.fulfillment import know_merchants
from tests.support.postgres import TestDatabase, TestServer
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

RESERVE, RELEASE, CONSUME = (f"/internal/v1/reservations{rest}" for rest in ("", "/releases", "/consumptions"))
FULFIL = "/internal/v1/fulfillments"
NOTHING = dict.fromkeys(whole(0), 0)
LIMIT = 3


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """The way to one service. `faults[path]` is how the next calls to it go wrong, in their order."""

    inner: httpx.AsyncBaseTransport
    faults: dict[str, list[str]] = field(default_factory=dict)
    late: list[httpx.Request] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.seen.append(path)
        coming = self.faults.get(path) if request.method == "PUT" else None
        match coming.pop(0) if coming else "":
            case "down":
                raise httpx.ConnectError("nobody listens", request=request)
            case "lost-request":
                raise httpx.ReadTimeout("lost on its way", request=request)
            case "late":
                self.late.append(request)
                raise httpx.ReadTimeout("held up on its way", request=request)
            case "lost-answer":
                await self.inner.handle_async_request(request)
                raise httpx.ReadTimeout("the answer was lost", request=request)
            case "twice":
                await self.inner.handle_async_request(request)
            case "refused":
                return httpx.Response(422, json={"type": "https://x/invalid"}, request=request)
            case "nonsense":
                return httpx.Response(200, text="<html>a proxy</html>", request=request)
        return await self.inner.handle_async_request(request)

    async def deliver_late(self) -> list[dict[str, Any]]:
        """What was held up arrives after all; the items of the answers."""
        answers = [await self.inner.handle_async_request(request) for request in self.late]
        self.late.clear()
        return [item for answer in answers for item in httpx.Response(200, content=await answer.aread()).json()["items"]]


@dataclass
class Street:
    """The suite, its wires, and what can be seen in its databases."""

    suite: Suite
    databases: dict[str, TestDatabase]
    catalog: Wire
    fulfillment: Wire
    looks: Looks
    subject: str = ""
    key: str = ""

    async def new_customer(self) -> None:
        """Somebody with 5,000 points and a key of their own."""
        [self.subject] = await self.suite.add_customers(5000)
        self.key = str(uuid.uuid4())

    async def redeem(self, quantity: int = 1) -> httpx.Response:
        """The customer's one request, always under the same key."""
        return await self.suite.redeem(self.subject, ("O1", quantity), key=self.key)

    def value(self, service: str, query: str, *values: Any) -> Any:
        """One value from a service's database."""
        return self.looks.rows(service, query, *values)[0][0]

    def change(self, service: str, statement: str, *values: Any) -> None:
        """Change something as the superuser."""
        self.looks.change(service, statement, *values)

    def redemption(self) -> tuple[str, str]:
        """The customer's only redemption: id and state."""
        query = (
            "SELECT array_agg(r.id || ' ' || r.state) FROM redemptions r JOIN customers c ON c.id = r.customer_id "
            "WHERE c.subject = %s"
        )
        [only] = self.value("redemption", query, self.subject) or []
        found, _, state = only.partition(" ")
        return found, state

    def count_redemptions(self) -> int:
        """How many redemptions the customer has."""
        query = "SELECT count(*) FROM redemptions r JOIN customers c ON c.id = r.customer_id WHERE c.subject = %s"
        return int(self.value("redemption", query, self.subject))

    def time_passes(self, *, deadline: bool = False) -> None:
        """Leases end, back-offs are over; with `deadline` also the time in which stock must be found."""
        earlier = "interval '2 minutes'"
        self.change(
            "redemption", f"UPDATE tasks SET run_at = run_at - {earlier}, lease_until = lease_until - {earlier} "
            "WHERE state = 'ready'",
        )  # fmt: skip
        if deadline:
            self.change("redemption", f"UPDATE redemptions SET deadline_at = deadline_at - {earlier} WHERE state = 'accepted'")

    async def work(self) -> None:
        """The workers do what is due; whatever fails is tried again later."""
        with contextlib.suppress(Exception):
            await self.suite.drain()

    async def rest(self, *, seconds: float = 20.0) -> None:
        """Let time pass until nothing is under way."""
        async with asyncio.timeout(seconds):
            while self.value("redemption", UNDER_WAY):
                self.time_passes()
                await self.work()
                await asyncio.sleep(0.05)

    async def ends(self, state: str, units: int) -> None:
        """It ends by itself, its effects are those of one redemption, a repeat is told so twice alike, the books agree."""
        await self.rest()
        found, stands = self.redemption()
        assert stands == state
        happened = effects(self.value, found)
        if state == "fulfilled":
            assert happened == whole(units)
        else:
            assert happened | {"taken": 0, "released": 0} == NOTHING
            assert happened["taken"] == happened["released"]
            points = await self.suite.points(self.subject)
            assert (points["balance"], points["held"]) == (5000, 0)
        first, second = await self.redeem(units), await self.redeem(units)
        assert is_final(first)
        assert (first.status_code, first.content) == (second.status_code, second.content)
        assert second.headers["Idempotency-Replayed"] == "true"
        assert first.json().get("id", first.json().get("redemption_id")) == found
        assert await self.suite.breaks() == []

    @contextlib.contextmanager
    def database_down(self, service: str) -> Iterator[None]:
        """Nobody can connect to a service's database, and who was connected is cut off."""
        name, server = self.databases[service].name, self.databases["redemption" if service != "redemption" else "catalog"]
        with psycopg.connect(server.superuser_url, autocommit=True) as conn:
            conn.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                conn.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())


@contextlib.contextmanager
def dying_at(point: str) -> Iterator[None]:
    """Whoever comes to the point goes no further: what was not committed is undone, and no answer is given."""
    failpoints.arm(**{point.replace(".", "__"): "raise"})
    try:
        yield
    finally:
        failpoints.arm()


@contextlib.asynccontextmanager
async def open_street(postgres: TestServer, issuer: Issuer) -> AsyncIterator[Street]:
    """The suite with a campaign in force; a request does not wait for the worker, since the test is the worker."""
    databases: dict[str, TestDatabase] = {}

    def database_of(service: str) -> TestDatabase:
        databases[service] = postgres.database(service)
        return databases[service]

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(redeem, "ANSWER_SECONDS", 0.0)
            async with running_suite(database_of, issuer) as suite:
                await suite.catalog.open(
                    rewards=[reward_row("R1")],
                    offers=[offer_row("O1", limit_per_customer=LIMIT)],
                    stock_batches=[batch_row("B1", "R1", 1000)],
                )
                know_merchants(databases["fulfillment"], "M001")
                wires = {host: Wire(inner) for host, inner in suite.network.hosts.items()}
                suite.network.hosts.update(wires)
                with looking(databases) as looks:
                    yield Street(suite, databases, wires["catalog.test"], wires["fulfillment.test"], looks)
    finally:
        for database in databases.values():
            postgres.drop(database)
