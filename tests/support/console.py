"""The console with an identity provider and made-up services: what it shows must not depend on which of them is up."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from pydantic import SecretStr

from deploy.sandbox.identity.app import build as build_identity
from deploy.sandbox.identity.settings import IdentitySettings
from services.console.app import build
from services.console.settings import Settings
from tests.support.console_answers import Answers

CONSOLE, IDENTITY = "http://127.0.0.1:8100", "http://127.0.0.1:8109"
SECRET = "sixteen-or-more-characters"
KEY = base64.b64encode(bytes(range(32))).decode()


def settings(**given: Any) -> Settings:
    """A console on loopback."""
    usual: dict[str, Any] = {
        "url": CONSOLE, "issuer": IDENTITY, "authorize_url": f"{IDENTITY}/authorize", "token_url": f"{IDENTITY}/token",
        "jwks_url": f"{IDENTITY}/jwks", "end_session_url": f"{IDENTITY}/end-session", "revoke_url": f"{IDENTITY}/revoke",
        "client_secret": SECRET, "session_key": KEY, "catalog_url": "http://catalog.test",
        "redemption_url": "http://redemption.test", "fulfillment_url": "http://fulfillment.test",
    }  # fmt: skip
    return Settings(**{**usual, **given})


def identity_settings(**given: Any) -> IdentitySettings:
    """The sandbox's provider, with a secret for the console."""
    seed = bytes(range(32))
    secrets = {"console": SecretStr(SECRET)}
    return IdentitySettings(**{"issuer": IDENTITY, "signing_key": seed, "till_key": seed, "client_secrets": secrets, **given})


@dataclass
class Street(httpx.AsyncBaseTransport):
    """Stands for the network behind the console. `down` names the services that nobody reaches, `mute` those that take the
    request and never answer it, `late` those whose answer is held back."""

    identity: httpx.ASGITransport
    answers: Answers = field(default_factory=Answers)
    down: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    late: dict[str, asyncio.Event] = field(default_factory=dict)
    seen: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = request.url.host.removesuffix(".test")
        name = "identity" if service == "127.0.0.1" else service
        self.seen.append(request)
        if name in self.down:
            raise httpx.ConnectError("nobody listens", request=request)
        if name == "identity":
            return await self.identity.handle_async_request(request)
        if name in self.late:
            await self.late[name].wait()
        answer = self.answers.to(service, request)
        if name in self.mute:
            raise httpx.ReadTimeout("no answer came", request=request)
        return answer

    async def reached(self, method: str, path: str) -> None:
        """Wait until a request of that kind is under way."""
        async with asyncio.timeout(10):
            while not self.asked(method, path):
                await asyncio.sleep(0.01)

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        """The requests of that kind that arrived."""
        return [request for request in self.seen if (request.method, request.url.path) == (method, path)]


class Browser:
    """A browser as far as HTTP goes: it keeps cookies, follows ways on, and says where its forms come from."""

    def __init__(self, console: httpx.AsyncClient, identity: httpx.AsyncClient) -> None:
        self.console, self.identity = console, identity

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Look at a page, following redirects inside the console."""
        answer = await self.console.get(path, headers=headers)
        while answer.is_redirect and re.match(r"/(?!sign-in)", answer.headers["location"]):
            answer = await self.console.get(answer.headers["location"])
        return answer

    async def sign_in(self, subject: str, following: str = "/") -> httpx.Response:
        """Go the whole way as a person does, and see the page that follows."""
        way = await self.console.get("/sign-in", params={"next": following})
        asked = dict(pair for pair in _pairs(way.headers["location"]))
        back = await self.identity.post("/authorize", data={**asked, "subject": subject})
        answer = await self.console.get(back.headers["location"].removeprefix(CONSOLE))
        return await self.get(answer.headers["location"]) if answer.is_redirect else answer

    async def post(self, path: str, form: dict[str, str] | None = None, *, page: str = "/", **headers: str) -> httpx.Response:
        """Send a form as a page of this session would."""
        token = form_token(await self.get(page))
        fields = urlencode({"form_token": token, **(form or {})})
        usual = {"Origin": CONSOLE, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        return await self.console.post(path, content=fields, headers={**usual, **headers})


def form_token(page: httpx.Response) -> str:
    """The token in a page's forms."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text
    return found[1]


def _pairs(address: str) -> list[tuple[str, str]]:
    return [(name, values[0]) for name, values in parse_qs(urlsplit(address).query).items()]


@dataclass
class Desk:
    """A console, and everything around it."""

    street: Street
    browser: Browser
    clock: list[float]

    def wait(self, seconds: float) -> None:
        """Let time pass for the console's sessions."""
        self.clock[0] += seconds


@contextlib.asynccontextmanager
async def desk(now: float, **given: Any) -> AsyncIterator[Desk]:
    """A console with a clock that stands still until a test moves it."""
    clock = [now]
    identity_transport = httpx.ASGITransport(build_identity(identity_settings()))
    street = Street(identity_transport)
    app = build(settings(**given), keys=_Keys(street), clock=lambda: clock[0], transport=street)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        url = given.get("url", CONSOLE)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        console = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=url, timeout=20))
        identity = await stack.enter_async_context(httpx.AsyncClient(transport=identity_transport, base_url=IDENTITY))
        yield Desk(street, Browser(console, identity), clock)


class _Keys:
    """The provider's keys, over the same street."""

    def __init__(self, street: Street) -> None:
        self._street = street

    async def fetch(self) -> dict[str, Any]:
        async with httpx.AsyncClient(transport=self._street) as client:
            found: dict[str, Any] = (await client.get(f"{IDENTITY}/jwks")).json()
            return found
