"""Calls to one service in the agent's name: its answer, its refusal in words, or the plain fact that it does not answer.

Nothing is tried twice here: reading again is the page's business, and writing again is the agent's, under the same key.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import structlog
from opentelemetry import propagate

from services.console.sessions import Session
from shared.http_client import ANSWER_BYTES_MAX, CONNECT_SECONDS, POOL_SECONDS, Breaker, NotSent, no_cookies
from shared.languages import BCP47, Language
from shared.metrics import CALLS

READ_SECONDS_MAX = 3.0
WRITE_SECONDS_MAX = 10.0
"""A service that has not decided after three seconds says so; the rest is for the way."""
CONNECTIONS_MAX = 64

log = structlog.get_logger()


class ServiceSilent(Exception):
    """The service does not answer. `sent` says whether it may have carried out what it was asked."""

    def __init__(self, service: str, *, sent: bool) -> None:
        super().__init__(service)
        self.service, self.sent = service, sent

    @property
    def outcome(self) -> str:
        """The name of the words that tell whoever wanted a change whether it may have been made."""
        return "silent.unknown" if self.sent else "silent.nothing_done"


class ServiceRefused(Exception):
    """The service said no, with a sentence in the agent's language."""

    def __init__(self, service: str, status: int, problem: Mapping[str, Any], retry_after: str | None = None) -> None:
        super().__init__(f"{service} answered {status}")
        self.service, self.status = service, status
        self.code = str(problem.get("type", "")).rpartition("/")[2]
        self.problem = problem
        self.retry_after_seconds = int(retry_after) if retry_after and retry_after.isdecimal() else None

    @property
    def sentence(self) -> str:
        """What to tell the agent; empty when the service sent no sentence."""
        fields = [str(each.get("detail", "")) for each in self.problem.get("errors", [])]
        return " ".join([str(self.problem.get("detail", "")), *fields]).strip()


class TokenRefused(Exception):
    """The service does not take the agent's token any more: they must sign in again."""


class Neighbour:
    """One service over HTTP."""

    def __init__(self, name: str, base_url: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._client = client
        self._breaker = Breaker()

    def speaking_for(self, session: Session, language: Language) -> "Voice":
        """The same service, asked with this agent's token and answering in their language."""
        return Voice(self, session.access_token, language)

    async def send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        """One call. Raises ServiceSilent."""
        try:
            self._breaker.check()
            async with asyncio.timeout(seconds):
                answer = await self._client.send(request)
        except (NotSent, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if not isinstance(error, NotSent):  # a service that is given a rest was not asked
                self._ended("not sent", worked=False)
            raise ServiceSilent(self.name, sent=False) from None
        except (httpx.HTTPError, TimeoutError):
            self._ended("unknown", worked=False)
            raise ServiceSilent(self.name, sent=True) from None
        if answer.status_code >= 500 or len(answer.content) > ANSWER_BYTES_MAX:
            self._ended("unknown", worked=False)
            raise ServiceSilent(self.name, sent=True)
        self._ended("refused" if answer.status_code >= 400 else "answered", worked=True)
        return answer

    def build(self, method: str, path: str, **arguments: Any) -> httpx.Request:
        """A request to this service."""
        return self._client.build_request(method, self._base_url + path, **arguments)

    def _ended(self, outcome: str, *, worked: bool) -> None:
        CALLS.labels(self.name, outcome).inc()
        self._breaker.record(worked=worked)


class Voice:
    """A service as one agent speaks with it. Every call raises ServiceSilent, ServiceRefused or TokenRefused."""

    def __init__(self, neighbour: Neighbour, token: str, language: Language) -> None:
        self._neighbour = neighbour
        self._headers = {"Authorization": f"Bearer {token}", "Accept-Language": BCP47[language]}

    async def get(self, path: str, **query: Any) -> Any:
        """Read."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._content(await self._call("GET", path, READ_SECONDS_MAX, params=params))

    async def look(self, path: str, body: Any) -> Any:
        """Read by POST, where what is looked for must stand in no address."""
        return self._content(await self._call("POST", path, READ_SECONDS_MAX, json=body))

    async def put(self, path: str, body: Any = None) -> Any:
        """Write what is the same when it is sent again."""
        return self._content(await self._call("PUT", path, WRITE_SECONDS_MAX, **({} if body is None else {"json": body})))

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Write; under an idempotency key it is done once however often it is sent. Answers the status too."""
        headers = {} if key is None else {"Idempotency-Key": key}
        content = {} if body is None else {"json": body}
        answer = await self._call("POST", path, WRITE_SECONDS_MAX, headers=headers, **content)
        return answer.status_code, self._content(answer)

    async def _call(
        self, method: str, path: str, seconds: float, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        all_headers = {**self._headers, **(headers or {})}
        propagate.inject(all_headers)
        answer = await self._neighbour.send(self._neighbour.build(method, path, headers=all_headers, **arguments), seconds)
        if answer.status_code == 401:
            raise TokenRefused
        if answer.status_code >= 400:
            raise ServiceRefused(self._neighbour.name, answer.status_code, _problem(answer), answer.headers.get("retry-after"))
        return answer

    def _content(self, answer: httpx.Response) -> Any:
        try:
            return answer.json() if answer.content else None
        except ValueError:  # somebody else answered, such as a proxy
            raise ServiceSilent(self._neighbour.name, sent=True) from None


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def new_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The HTTP client of the process. It keeps no cookie: what is set in an answer to one agent is not another's."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(WRITE_SECONDS_MAX, connect=CONNECT_SECONDS, pool=POOL_SECONDS),
        limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        follow_redirects=False,
        cookies=no_cookies(),
    )
