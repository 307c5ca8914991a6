"""Calls to other services: bounded, never inside a transaction, and honest about what is not known (G33).

A call can end in three ways, and the difference is money: it was answered; it certainly did not arrive; or nobody knows.
"""

import asyncio
import time
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol

import httpx
import structlog
from opentelemetry import propagate

from shared.database import in_transaction
from shared.metrics import CALLS
from shared.problems import NeighbourUnavailable
from shared.sets import as_json

CONNECT_SECONDS = 1.0
CALL_SECONDS = 5.0
POOL_SECONDS = 2.0
CONNECTIONS_MAX = 8
TOKEN_RENEWED_BEFORE_SECONDS = 60.0
TOKEN_ASKED_AGAIN_SECONDS = 2.0
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 2.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024

log = structlog.get_logger()


class OutcomeUnknown(NeighbourUnavailable):
    """The call was sent and no answer came: it may have been carried out."""


class NotSent(NeighbourUnavailable):
    """The other service could not be reached: nothing was carried out."""


class Refused(Exception):
    """The other service answered with an error of ours to mend (4xx): its contract was broken."""

    def __init__(self, service: str, status: int, problem: str) -> None:
        super().__init__(f"{service} answered {status} {problem}")
        self.status = status
        self.problem = problem


class Authorization(Protocol):
    """What a client shows as its bearer: a token that is renewed, or a key."""

    async def get(self) -> str:
        """What to show now. Raises NotSent when there is nothing to show."""

    def forget(self) -> None:
        """The other side did not take it."""


class FixedKey:
    """A key that an outside system gave us: it neither ends nor is renewed."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def get(self) -> str:
        """The key."""
        return self._key

    def forget(self) -> None:
        """There is no other: the calls fail until somebody mends the settings."""


class AccessToken:
    """This service's own token from the identity provider (client credentials), renewed before it ends."""

    def __init__(self, client: httpx.AsyncClient, *, token_url: str, client_id: str, client_secret: str, scope: str) -> None:
        self._client = client
        self._token_url = token_url
        self._form = {"grant_type": "client_credentials", "scope": scope}
        self._credentials = (client_id, client_secret)
        self._token = ""
        self._until = float("-inf")
        self._renewed_before = TOKEN_RENEWED_BEFORE_SECONDS
        self._not_before = float("-inf")
        self._renewal = asyncio.Lock()

    async def get(self) -> str:
        """A token that is good for another minute. Raises NotSent when none can be had."""
        async with self._renewal:  # one asks for all of them
            if time.monotonic() > self._until - self._renewed_before and time.monotonic() >= self._not_before:
                await self._renew()
        if time.monotonic() > self._until:
            raise NotSent
        return self._token

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._client.post(self._token_url, data=self._form, auth=self._credentials)
            answer.raise_for_status()
            found = answer.json()
            token, seconds = str(found["access_token"]), float(found["expires_in"])
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
            self._not_before = time.monotonic() + TOKEN_ASKED_AGAIN_SECONDS  # else all who wait would ask, one by one
            if self._token and time.monotonic() < self._until:
                return
            raise NotSent from error
        self._token, self._until = token, time.monotonic() + seconds
        self._renewed_before = min(TOKEN_RENEWED_BEFORE_SECONDS, seconds / 2)

    def forget(self) -> None:
        """The other side did not take it."""
        self._until = float("-inf")


class Breaker:
    """Stops asking a service that keeps failing, and lets one call through every two seconds to see."""

    def __init__(self) -> None:
        self._failures = 0
        self._next_try_at = 0.0

    def check(self) -> None:
        """Raises NotSent while the service is given a rest."""
        if self._failures >= FAILURES_TO_OPEN:
            if time.monotonic() < self._next_try_at:
                raise NotSent
            self._next_try_at = time.monotonic() + OPEN_SECONDS

    def record(self, *, worked: bool) -> None:
        """Note how a call ended."""
        self._failures = 0 if worked else self._failures + 1
        if self._failures == FAILURES_TO_OPEN:
            self._next_try_at = time.monotonic() + OPEN_SECONDS


class ServiceClient:
    """One neighbour over HTTP."""

    def __init__(self, name: str, base_url: str, token: Authorization, client: httpx.AsyncClient) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._client = client
        self._breaker = Breaker()
        for outcome in ("answered", "refused", "failed", "not sent", "unknown"):
            CALLS.labels(name, outcome)

    async def get(self, path: str, **query: Any) -> Any:
        """Read. Raises NotSent, OutcomeUnknown or Refused."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._read(await self.send("GET", path, params=params))

    async def put(self, path: str, body: Any) -> Any:
        """Write under ids of ours, so that sending again is the same request. Raises NotSent, OutcomeUnknown or Refused."""
        content = as_json(body).encode()
        return self._read(await self.send("PUT", path, content=content, headers={"Content-Type": "application/json"}))

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call, no retry: whoever drives the work retries. Raises RuntimeError inside a transaction."""
        if in_transaction():
            raise RuntimeError(f"a call to {self.name} inside a transaction would hold its locks while we wait")
        self._breaker.check()
        headers = {**arguments.pop("headers", {}), "Authorization": f"Bearer {await self._token.get()}"}
        propagate.inject(headers)
        request = self._client.build_request(method, self._base_url + path, headers=headers, **arguments)
        try:
            async with asyncio.timeout(CALL_SECONDS):  # of the whole call: httpx counts each piece of an answer anew
                answer = await self._answer_to(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            self._ended("not sent", worked=False)
            raise NotSent from error
        except (httpx.HTTPError, TimeoutError) as error:
            self._ended("unknown", worked=False)
            raise OutcomeUnknown from error
        return self._judged(answer)

    async def _answer_to(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. Raises httpx.DecodingError when it is larger than any of ours."""
        answer = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise httpx.DecodingError("the answer is too large", request=request)
        finally:
            await answer.aclose()
        plain = {name: value for name, value in answer.headers.items() if name not in ("content-encoding", "content-length")}
        return httpx.Response(answer.status_code, headers=plain, content=bytes(body), request=request)

    def _read(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:  # somebody else answered, such as a proxy: what was done is not known
            raise OutcomeUnknown from error

    def _judged(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code < 400:
            self._ended("answered", worked=True)
            return answer
        if answer.status_code == 401:
            self._token.forget()
        if answer.status_code in (401, 429) or answer.status_code >= 500:
            self._ended("failed", worked=answer.status_code < 500)
            # Turned away at the door, nothing was done. Of any other error of theirs nobody can be sure: a 503 may mean that
            # their database went away while it was committing.
            raise NotSent if answer.status_code in (401, 429) else OutcomeUnknown
        self._ended("refused", worked=True)
        raise Refused(self.name, answer.status_code, _problem_of(answer))

    def _ended(self, outcome: str, *, worked: bool) -> None:
        CALLS.labels(self.name, outcome).inc()
        self._breaker.record(worked=worked)


def _problem_of(answer: httpx.Response) -> str:
    """The code of the problem that the other side names, or nothing."""
    try:
        return str(answer.json()["type"]).rpartition("/")[2]
    except (ValueError, KeyError, TypeError):
        return ""


def no_cookies() -> CookieJar:
    """A jar that keeps nothing: what one caller's answer sets goes with nobody else's call."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def new_http_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The one HTTP client of a process: few connections, since what goes through them is batched."""
    return httpx.AsyncClient(
        transport=transport,
        cookies=no_cookies(),
        timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS, pool=POOL_SECONDS),
        limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        follow_redirects=False,
    )
