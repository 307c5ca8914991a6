"""Fulfillment with its worker, the sandbox's courier and gateway, and somebody who hears what redemption is told."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from services.fulfillment.parts import Parts, make_parts
from services.fulfillment.worker import make_worker
from shared.clock import Clock
from shared.tasks import Worker
from tests.support.fulfillment import CUSTOMER, Fulfillment, goods, know_merchants, running_fulfillment, settings_of, wish
from tests.support.outside import FULFILLMENT_SETTINGS, Outside
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

REDEMPTION_URL = "http://redemption.test"


@dataclass
class Redemption(httpx.AsyncBaseTransport):
    """Stands for redemption: takes outcomes as its contract says, and keeps them. `refuses` and `forgets` name ids."""

    versions: dict[str, int] = field(default_factory=dict)
    parts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    forgets: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    """What happens to the next calls: `down`, `lost-answer`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "identity.test":
            return httpx.Response(200, json={"access_token": "a token", "expires_in": 300}, request=request)
        assert (request.url.host, request.method, request.url.path) == ("redemption.test", "PUT", "/internal/v1/outcomes")
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "down":
            raise httpx.ConnectError("nobody listens", request=request)
        items = json.loads(request.content)["items"]
        self.calls.append([item["id"] for item in items])
        if any(item["id"] in self.refuses for item in items):
            return httpx.Response(422, json={"type": "https://huangou.example/problems/validation-error"}, request=request)
        answers = [{"id": item["id"], "outcome": self._take(item)} for item in items]
        if fault == "lost-answer":
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return httpx.Response(200, json={"items": answers}, request=request)

    def _take(self, item: dict[str, Any]) -> str:
        if item["id"] in self.forgets:
            return "unknown"
        if item["version"] <= self.versions.get(item["id"], 0):
            return "older"
        self.versions[item["id"]], self.parts[item["id"]] = item["version"], item["parts"]
        return "taken"


@dataclass
class Depot:
    """Everything that it takes to bring a parcel."""

    fulfillment: Fulfillment
    outside: Outside
    redemption: Redemption
    hands: Parts
    worker: Worker
    database: TestDatabase

    async def accept(self, delivery: Mapping[str, Any], *lines: Mapping[str, Any], subject: str = CUSTOMER) -> tuple[str, str]:
        """Accept goods; answers the redemption's id and the parcel's."""
        asked = wish(*(lines or [goods()]), subject=subject, delivery=dict(delivery))
        [outcome] = await self.fulfillment.accept(asked)
        assert outcome["outcome"] == "accepted", outcome
        [(parcel,)] = self.rows("SELECT id::text FROM parcels WHERE fulfillment_id = %s", asked["id"])
        return asked["id"], parcel

    async def work(self) -> None:
        """The worker does what is due."""
        await self.worker.drain()

    def time_passes(self, minutes: int = 120) -> None:
        """Preparations and back-offs are over, leases end."""
        with psycopg.connect(self.database.superuser_url) as conn:
            conn.execute(
                "UPDATE tasks SET run_at = run_at - make_interval(mins => %s), "
                "lease_until = lease_until - make_interval(mins => %s) WHERE state = 'ready' AND kind <> 'follow_parcel'",
                [minutes, minutes],
            )

    async def leave(self) -> None:
        """Time passes and the parcels are sent on their way."""
        self.time_passes()
        await self.work()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        with psycopg.connect(self.database.superuser_url) as conn:
            return conn.execute(query, values).fetchall()  # type: ignore[arg-type]

    def state(self, parcel: str) -> str:
        """Where a parcel stands."""
        [(state,)] = self.rows("SELECT state FROM parcels WHERE id = %s", parcel)
        return str(state)

    def staff(self, branch: str | None = "B001", subject: str = "clerk-1") -> dict[str, str]:
        """Somebody at the counter of a branch."""
        return self.fulfillment.issuer.staff("branch", subject=subject, **({"branch": branch} if branch else {}))

    async def arrive(self, parcel: str, branch: str = "B001") -> httpx.Response:
        """A parcel is taken in at a branch."""
        return await self.fulfillment.client.put(f"/v1/parcels/{parcel}/arrival", headers=self.staff(branch))

    async def hand_over(self, parcel: str, code: str, branch: str = "B001", subject: str = "clerk-1") -> httpx.Response:
        """A code is shown at the counter."""
        headers = self.staff(branch, subject)
        return await self.fulfillment.client.put(f"/v1/parcels/{parcel}/handover", json={"code": code}, headers=headers)

    async def code(self, parcel: str, subject: str = CUSTOMER) -> str:
        """The owner looks at the pickup code."""
        answer = await self.fulfillment.get(f"/v1/parcels/{parcel}/pickup-code", self.fulfillment.issuer.customer(subject))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["code"])

    async def ready(self, branch: str = "B001", subject: str = CUSTOMER) -> str:
        """A parcel that lies ready at a branch."""
        delivery = {"way": "pickup", "contact": {"name": "李四", "phone": "+8613900005678", "language": "en"}, "branch": branch}
        _, parcel = await self.accept(delivery, subject=subject)
        await self.leave()
        assert (await self.arrive(parcel, branch)).status_code == 200
        return parcel


@contextlib.asynccontextmanager
async def running_depot(
    database: TestDatabase,
    issuer: Issuer,
    *,
    clock: Clock | None = None,
    books: bool = True,
    known: bool = True,
    **settings: Any,
) -> AsyncIterator[Depot]:
    """Application and worker on a test database; at the end the books must balance unless the test breaks them.

    `known` makes the merchants known, which only the first start on a database needs.
    """
    if known:
        know_merchants(database, "M001")
    told = {**FULFILLMENT_SETTINGS, "redemption_url": REDEMPTION_URL, **settings}
    redemption = Redemption()
    outside = Outside(others=redemption)
    hands = make_parts(settings_of(database, **told), clock=clock, transport=outside)
    try:
        async with running_fulfillment(database, issuer, clock=clock, books=books, **told) as fulfillment:
            yield Depot(fulfillment, outside, redemption, hands, make_worker(hands), database)
    finally:
        await hands.close()
