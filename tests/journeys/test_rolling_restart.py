"""Every API and worker is restarted while two hundred requests a second arrive: none fails, nothing is lost (G36)."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deploy.local.speaking import Speaker
from tests.journeys.conftest import CAMPAIGN
from tests.journeys.machines import Machine

pytestmark = pytest.mark.anyio

RATE = 200
LANES = 40
CUSTOMERS = [f"customer-{number:05d}" for number in range(101, 181)]
CHEAP_POINTS = 16_000
REDEMPTION_EVERY = 8
"""One request of eight redeems, the others read."""


class Line:
    """One kept connection of a caller that never asks twice: what is cut off counts as failed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer. Raises ConnectionError or EOFError when there is none."""
        if self._streams is None or self._streams[0].at_eof():  # closed while nobody used it: every caller looks first
            await self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        told = dict(line.split(": ", 1) for line in head[1:] if line)
        content = await reader.readexactly(int(told.get("content-length", 0)))
        if told.get("connection") == "close":
            await self.close()
        return int(head[0].split()[1]), content

    async def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None


class Callers:
    """Forty lanes that together send two hundred requests a second until they are told to stop."""

    def __init__(self, machine: Machine, tokens: dict[str, str], people: dict[str, str], offers: list[dict[str, Any]]) -> None:
        self.statuses: Counter[str] = Counter()
        self.failures: list[str] = []
        self._ports, self._tokens, self._people = machine.suite.ports, tokens, people
        # Each takes each offer once: a refusal, by a limit or for want of stock, would hide what a restart did.
        wishes = [(who, offer) for who in CUSTOMERS for offer in offers]
        self._wishes, self._told = iter(wishes), False

    async def __aenter__(self) -> "Callers":
        self._lanes = [asyncio.create_task(self._lane(number)) for number in range(LANES)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._told = True
        await asyncio.gather(*self._lanes)

    async def _lane(self, number: int) -> None:
        lines = {service: Line(self._ports.api(service)) for service in ("catalog", "redemption", "fulfillment")}
        loop, turn = asyncio.get_running_loop(), number
        due = loop.time() + number / RATE
        while not self._told:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += LANES / RATE
            await self._call(lines, turn)
            turn += LANES
        for line in lines.values():
            await line.close()

    async def _call(self, lines: dict[str, Line], turn: int) -> None:
        who, service, method, path, body = self._request(turn)
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        if body:
            headers |= {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"}
        try:
            status, content = await lines[service].ask(method, path, headers, body)
        except (ConnectionError, EOFError) as error:
            self.failures.append(f"{service} {method}: {type(error).__name__}")
            await lines[service].close()
            return
        self.statuses[f"{method} {status}"] += 1
        if status >= 400:
            self.failures.append(f"{service} {method} {path}: {status} {json.loads(content)['type']}")

    def _request(self, turn: int) -> tuple[str, str, str, str, bytes]:
        wish = next(self._wishes, None) if turn % REDEMPTION_EVERY == 0 else None
        if wish is not None:
            who, offer = wish
            line = {"offer_id": offer["id"], "offer_version": offer["version"], "quantity": 1}
            return who, "redemption", "POST", "/v1/redemptions", json.dumps({"campaign": CAMPAIGN, "lines": [line]}).encode()
        who = CUSTOMERS[turn % len(CUSTOMERS)]
        reads = [
            ("catalog", f"/v1/campaigns/{CAMPAIGN}/offers"),
            ("redemption", f"/v1/customers/{self._people[who]}/points"),
            ("fulfillment", "/v1/vouchers?limit=1"),
        ]
        service, path = reads[turn % len(reads)]
        return who, service, "GET", path, b""


@pytest.fixture
async def callers(loaded: Machine) -> AsyncIterator[Callers]:
    async with Speaker(loaded.suite) as speaker:
        tokens = {who: await speaker.token(who) for who in CUSTOMERS}
        people = {}
        for who in CUSTOMERS:
            people[who] = (await speaker.call("GET", "redemption", "/v1/me", who=who)).json()["customer_id"]
            rows = (
                f"customer_number,points,expires_on,reference\nC{who[-6:].replace('-', '0')},1000000,2030-01-01,restart-{who}\n"
            )
            rows += "#total,1,1000000\n"
            await speaker.feed("earned-points", f"restart-{who}.csv", rows.encode())
        path = f"/v1/campaigns/{CAMPAIGN}/offers?limit=100"
        offers = (await speaker.call("GET", "catalog", path, who=CUSTOMERS[0])).json()["items"]
        yield Callers(loaded, tokens, people, [offer for offer in offers if _is_there_for_everybody(offer)])


def _is_there_for_everybody(offer: dict[str, Any]) -> bool:
    """Whether each customer can have one on the same day; of the sample's dear ones there are few, or few a day."""
    limits, cheap = offer["limits"], offer["price_points"] <= CHEAP_POINTS
    return offer["kind"] == "e_voucher" and cheap and limits["per_customer"] and not limits["per_day"]


@pytest.mark.proves("G36")
async def test_a_rolling_restart_under_load_fails_no_request_and_loses_no_task(loaded: Machine, callers: Callers) -> None:
    loop = asyncio.get_running_loop()
    async with callers:
        await asyncio.sleep(2)
        began = loop.time()
        restarted = await asyncio.to_thread(loaded.restart)
        seconds = loop.time() - began
        await asyncio.sleep(2)
    print(f"restarted in {seconds:.0f} s, {callers.statuses}")
    assert all(any(service in name for name in restarted) for service in ("catalog", "redemption", "fulfillment")), restarted
    assert not callers.failures, Counter(callers.failures)
    assert sum(callers.statuses.values()) > RATE * seconds * 0.8, "the load was not what it should have been"
    assert callers.statuses["POST 201"] > 50
    assert loaded.huangou("reconcile").returncode == 0
