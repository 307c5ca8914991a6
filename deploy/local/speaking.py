"""Speaks HTTP to a running suite, each call as somebody: a customer, a till, staff, or one of the bank's own systems."""

import asyncio
import hashlib
import time
import uuid
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.local.failure import CannotStart
from deploy.local.suite import Suite
from deploy.local.tokens import PLAIN, obtain_token

TOKEN_GOOD_SECONDS = 240.0
ANSWER_SECONDS_MAX = 60.0
RECONCILE_SECONDS_MAX = 3600.0
CONNECTIONS_MAX = 100
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OPERATIONS, FEEDS = "operations", "bank-feeds"


class Refused(CannotStart):
    """The suite answered with a problem; its sentence is the message, its members are kept."""

    def __init__(self, answer: httpx.Response) -> None:
        """Keep the status and the problem's members."""
        self.status = answer.status_code
        try:
            self.problem: dict[str, Any] = answer.json()
        except ValueError:
            self.problem = {}
        super().__init__(self.problem.get("detail") or f"The suite answered {answer.status_code}.")

    @property
    def errors(self) -> list[dict[str, Any]]:
        """What is wrong, one by one."""
        found: list[dict[str, Any]] = self.problem.get("errors", [])
        return found


class Speaker:
    """`async with Speaker(suite) as speaker: await speaker.call("GET", "catalog", "/v1/campaigns", who="operations")`."""

    def __init__(self, suite: Suite) -> None:
        """Tokens are fetched when first needed and kept while they are good."""
        self._suite = suite
        self._tokens: dict[str, tuple[str, float]] = {}
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._http = httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, limits=limits, trust_env=False, verify=PLAIN)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def token(self, who: str) -> str:
        """That somebody's access token."""
        found, until = self._tokens.get(who, ("", 0.0))
        if time.monotonic() > until:
            issuer = self._suite.ports.url(self._suite.ports.identity)
            found = await asyncio.to_thread(obtain_token, issuer, who, self._suite.secrets)
            self._tokens[who] = (found, time.monotonic() + TOKEN_GOOD_SECONDS)
        return found

    async def answer(
        self, method: str, service: str, path: str, *, who: str, headers: dict[str, str] | None = None, **sent: Any
    ) -> httpx.Response:
        """Whatever the service answers. Raises httpx.TransportError when nobody does."""
        all_headers = {"Authorization": f"Bearer {await self.token(who)}", "Accept-Language": "en", **(headers or {})}
        address = self._suite.ports.url(self._suite.ports.api(service)) + path
        return await self._http.request(method, address, headers=all_headers, **sent)

    async def call(
        self, method: str, service: str, path: str, *, who: str, headers: dict[str, str] | None = None, **sent: Any
    ) -> httpx.Response:
        """The answer, when it is a good one. Raises Refused, or CannotStart when nobody answers."""
        try:
            answer = await self.answer(method, service, path, who=who, headers=headers, **sent)
        except httpx.TransportError as error:
            raise CannotStart(f"The {service} service does not answer; run `make up` first.") from error
        if answer.is_error:
            raise Refused(answer)
        return answer

    async def at_sandbox(self, method: str, name: str, path: str, **sent: Any) -> Any:
        """What a part of the sandbox answers to whoever tries things out. Raises CannotStart."""
        headers = {"Authorization": f"Bearer {self._suite.secrets.sandbox_key}"}
        address = self._suite.url(name) + path
        try:
            answer = await self._http.request(method, address, headers=headers, **sent)
        except httpx.TransportError as error:
            raise CannotStart(f"The sandbox's {name} does not answer; run `make up` first.") from error
        if answer.is_error:
            raise Refused(answer)
        return answer.json()

    async def load_workbook(self, content: bytes) -> dict[str, Any]:
        """Load a workbook; the same content again is the same request. Raises Refused with errors by sheet, row and column."""
        headers = {"Idempotency-Key": hashlib.sha256(content).hexdigest(), "Content-Type": XLSX}
        answer = await self.call("POST", "catalog", "/v1/workbooks", who=OPERATIONS, headers=headers, content=content)
        found: dict[str, Any] = answer.json()
        return found

    async def publish(self, campaign: str, version: int) -> dict[str, Any]:
        """Put a version of a campaign in force."""
        path = f"/v1/campaigns/{campaign}/versions/{version}/publication"
        answer = await self.call("POST", "catalog", path, who=OPERATIONS, headers={"Idempotency-Key": str(uuid.uuid4())})
        found: dict[str, Any] = answer.json()
        return found

    async def feed(self, kind: str, name: str, content: bytes) -> tuple[dict[str, Any], bool]:
        """Hand in a feed file under its name; its receipt, and whether it had been taken in before. Raises Refused."""
        path, headers = f"/v1/feeds/{kind}/{name}", {"Content-Type": "text/csv"}
        answer = await self.call("PUT", "redemption", path, who=FEEDS, headers=headers, content=content)
        return answer.json(), answer.headers.get("idempotency-replayed") == "true"

    async def write_branches(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Add or change branches: how many were taken. Raises Refused with errors by field."""
        found: dict[str, Any] = (await self.call("PUT", "fulfillment", "/v1/branches", who=FEEDS, json={"items": items})).json()
        return found

    async def reconcile(self) -> dict[str, Any]:
        """Compare the books of the three services: counts, and the breaks. Large books take minutes."""
        path = "/internal/v1/reconciliation"
        answer = await self.call("GET", "redemption", path, who=OPERATIONS, timeout=RECONCILE_SECONDS_MAX)
        found: dict[str, Any] = answer.json()
        return found
