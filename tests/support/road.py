"""Parcels of the depot on the road: dispatched with the sandbox's courier, told of by signed events."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg

from shared.tasks import Worker
from shared.webhooks import sign
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import CUSTOMER, by_courier
from tests.support.outside import CARRIER, CARRIER_KEY, Courier, Notifications
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

EVENTS = f"/v1/carriers/{CARRIER}/events"
LONG_AGO = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


def event(number: str, kind: str = "in_transit", sequence: Any = 1, **given: Any) -> dict[str, Any]:
    """An event of a parcel, an hour after the one before."""
    hours = sequence if isinstance(sequence, int) and sequence < 1000 else 0
    usual = {
        "id": str(uuid.uuid4()),
        "tracking_number": number,
        "reference": "ours",
        "sequence": sequence,
        "kind": kind,
        "at": (LONG_AGO + timedelta(hours=hours)).isoformat(),
        "place": f"place {sequence}",
    }
    return {**usual, **given}


@dataclass
class Road:
    """The depot and what happens to its parcels."""

    depot: Depot

    @property
    def courier(self) -> Courier:
        """The sandbox's."""
        return self.depot.outside.courier

    @property
    def notifications(self) -> Notifications:
        """The sandbox's."""
        return self.depot.outside.notifications

    @property
    def worker(self) -> Worker:
        """Fulfillment's."""
        return self.depot.worker

    async def tell(
        self, body: dict[str, Any] | bytes, *, key: bytes = CARRIER_KEY, path: str = EVENTS, **given: Any
    ) -> httpx.Response:
        """Send an event as the carrier does; keywords replace headers, `at` the time of the signature."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = sign(key, "message-1", given.pop("at", datetime.now(UTC)), raw)
        headers |= {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in given.items()}
        return await self.depot.fulfillment.client.post(path, content=raw, headers=headers)

    async def accept(self, count: int = 1, language: str = "zh_hans", phone: str = "+442079460001") -> list[str]:
        """Parcels by courier; their ids."""
        contact = {"name": "样例客户", "phone": phone, "language": language}
        return [(await self.depot.accept({**by_courier(), "contact": contact}))[1] for _ in range(count)]

    async def send(self, count: int = 1, **contact: str) -> list[str]:
        """Parcels that are dispatched; their tracking numbers."""
        ids = await self.accept(count, **contact)
        self.hurry("dispatch")
        await self.worker.drain()
        by_id = dict(self.depot.rows("SELECT id::text, tracking_number FROM parcels WHERE tracking_number IS NOT NULL"))
        return [by_id[one] for one in ids]

    def hurry(self, *kinds: str) -> None:
        """Make every task of these kinds due."""
        self.change("UPDATE tasks SET run_at = now() WHERE state = 'ready' AND kind = ANY(%s)", list(kinds))

    async def once(self, lane: str) -> None:
        """Let one lane of the worker do one round of what is due."""
        await self.worker.run_once(next(one for one in self.worker._lanes if one.name == lane))

    def change(self, sql: str, *values: Any, unguarded: bool = False) -> None:
        """Change something past the application, and past the triggers where it says so."""
        with psycopg.connect(self.depot.database.superuser_url) as conn:
            if unguarded:
                conn.execute("SET session_replication_role = replica")
            conn.execute(sql, values)  # type: ignore[arg-type]

    async def parcel(self, tracking_number: str) -> dict[str, Any]:
        """A parcel as its owner sees it."""
        [(parcel,)] = self.depot.rows("SELECT id FROM parcels WHERE tracking_number = %s", tracking_number)
        answer = await self.depot.fulfillment.get(f"/v1/parcels/{parcel}", self.depot.fulfillment.issuer.customer(CUSTOMER))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextlib.asynccontextmanager
async def running_road(database: TestDatabase, issuer: Issuer, **settings: Any) -> AsyncIterator[Road]:
    """The depot, listening to its courier."""
    async with running_depot(database, issuer, **settings) as depot:
        depot.outside.courier.listener = httpx.ASGITransport(app=depot.fulfillment.app, raise_app_exceptions=False)
        yield Road(depot)
