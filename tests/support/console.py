"""The console with an identity provider and made-up services: what it shows must not depend on which of them is up."""

import base64
import contextlib
import re
import uuid
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

CONSOLE, IDENTITY = "http://127.0.0.1:8100", "http://127.0.0.1:8109"
SECRET = "sixteen-or-more-characters"
CUSTOMER = "01890000-0000-7000-8000-000000000001"
GOODS, DONE = "01890000-0000-7000-8000-0000000000a1", "01890000-0000-7000-8000-0000000000a2"
PARCEL, READY = "01890000-0000-7000-8000-0000000c0a01", "01890000-0000-7000-8000-0000000c0a02"
TASK = "01890000-0000-7000-8000-0000000000f1"
NAMES = {"zh_hans": "保温杯", "zh_hant": "保溫杯", "en": "Vacuum flask"}
CAFE = {"zh_hans": "咖啡券", "zh_hant": "咖啡券", "en": "Coffee voucher"}
KEY = base64.b64encode(bytes(range(32))).decode()


def three(zh_hans: str, zh_hant: str, en: str) -> dict[str, str]:
    return {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


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


class Answers:
    """What the made-up services answer, in the shape that their OpenAPI documents give; tests change it."""

    def __init__(self) -> None:
        self.by_path: dict[tuple[str, str, str], Any] = {}
        base = f"/v1/customers/{CUSTOMER}"
        person = {
            "customer_id": CUSTOMER, "customer_number": "C000001", "tier": "gold", "language": "zh_hans", "name": "王**",
            "phone": "+86 138****0001",
        }  # fmt: skip
        at = "2026-11-20T02:30:00+00:00"
        lines = [{"number": 1, "reward": {"code": "FLASK", "name": NAMES["en"]}, "quantity": 2, "points": 4200}]
        other = [{"number": 1, "reward": {"code": "CAFE", "name": CAFE["en"]}, "quantity": 1, "points": 900}]
        self.redemptions = [
            {"id": GOODS, "state": "delivering", "state_words": "On its way", "campaign": "AUTUMN-2026", "price_points": 4200,
             "lines": lines, "accepted_at": at, "changed_at": at},
            {"id": DONE, "state": "fulfilled", "state_words": "Handed out", "campaign": "AUTUMN-2026", "price_points": 900,
             "lines": other, "accepted_at": "2026-10-02T06:00:00+00:00", "changed_at": at},
        ]  # fmt: skip
        timeline = [
            {"at": at, "kind": "accepted", "actor": "customer", "words": "The request was received and 4200 points were set aside."},
            {"at": at, "kind": "confirmed", "actor": "system", "words": "The redemption is confirmed; 4200 points were spent."},
        ]  # fmt: skip
        self.set("redemption", "POST", "/v1/customers/search", {"items": [person], "more": False})
        self.set("redemption", "GET", base, person)
        self.set("redemption", "POST", f"{base}/unmasking", {**person, "name": "王样例", "phone": "+8613800000001"})
        self.set("redemption", "GET", f"{base}/points", {
            "customer_id": CUSTOMER, "state": "active", "state_until": None, "balance": 18400, "held": 1200, "available": 17200,
            "expiring_soon": [{"expires_on": "2026-12-31", "points": 2600}],
        })  # fmt: skip
        self.set("redemption", "GET", f"{base}/points/lots", {"items": [
            {"expires_on": "2026-12-31", "points": 2600, "held": 1200}, {"expires_on": "2027-06-30", "points": 6800, "held": 0},
            {"expires_on": "2028-12-31", "points": 9000, "held": 0},
        ]})  # fmt: skip
        self.set("redemption", "GET", f"{base}/redemptions", {"items": self.redemptions, "next": None})
        self.set("redemption", "GET", f"/v1/redemptions/{GOODS}", {
            **self.redemptions[0], "timeline": timeline, "delivery": None, "returns": [],
        })  # fmt: skip
        self.set("redemption", "POST", f"/v1/redemptions/{GOODS}/cancellation", {**self.redemptions[0], "state": "cancelled"})
        self.set("redemption", "GET", "/internal/v1/breaks", {"items": [
            {"id": TASK, "service": "redemption", "kind": "balance-differs", "subject": "account:7", "detail": "posted 5, lots 4",
             "owner": "ledger", "first_seen_at": at, "last_seen_at": at, "ended_at": None, "age_seconds": 97_200},
        ], "next": None, "last_good_run_at": at})  # fmt: skip
        self._fulfillment(base, at)
        parked = {"id": TASK, "kind": "notify", "ref": PARCEL, "failures": 7, "last_error": "CallFailed: the gateway answered 503",
                  "parked_at": at, "redrive": None}  # fmt: skip
        for service in ("catalog", "redemption", "fulfillment"):
            self.set(
                service, "GET", "/internal/v1/tasks", {"counts": [], "parked": [parked] if service == "fulfillment" else []}
            )
            self.set(service, "POST", f"/internal/v1/tasks/{TASK}/redrive", {}, 201)
            self.set(service, "POST", f"/internal/v1/tasks/{TASK}/redrive/approval", {})

    def _fulfillment(self, base: str, at: str) -> None:
        contents = [{"line": 1, "quantity": 2, "code": "FLASK", "names": NAMES}]
        events = [
            {"at": at, "place": None, "words": three("正在备货。", "正在備貨。", "It is being made ready.")},
            {"at": "2026-11-21T01:10:00+00:00", "place": "Hangzhou", "words": three("快递已揽收。", "快遞已攬收。", "The courier has it.")},
        ]  # fmt: skip
        parcel = {
            "id": PARCEL, "fulfillment_id": GOODS, "way": "courier", "state": "dispatched",
            "state_words": three("已寄出", "已寄出", "On its way"), "contents": contents, "carrier": "sandbox-express",
            "tracking_number": "SE1234567890", "branch": None, "ready_until": None, "state_at": at, "events": events,
        }  # fmt: skip
        ready = {
            **parcel, "id": READY, "way": "pickup", "state": "ready", "carrier": None, "tracking_number": None, "branch": "B001",
            "ready_until": "2026-12-06", "recipient": "王**", "state_words": three("可领取", "可領取", "Ready"),
        }  # fmt: skip
        self.set("fulfillment", "GET", f"{base}/parcels", {"items": [parcel, ready], "next": None})
        self.set("fulfillment", "GET", f"{base}/vouchers", {"items": [{
            "id": TASK, "state": "issued", "state_words": three("可使用", "可使用", "Can be used"),
            "reward": {"code": "CAFE", "names": CAFE}, "face_value": {"amount_minor": 3000, "currency": "CNY"},
            "issued_at": at, "expires_at": "2026-12-31T16:00:00+00:00", "used_at": None,
        }], "next": None})  # fmt: skip
        self.set("fulfillment", "GET", f"{base}/notices", {"items": [{
            "id": TASK, "kind": "parcel_dispatched", "state": "sent", "requested_at": at, "text": "您的包裹已寄出。",
        }], "next": None})  # fmt: skip
        for state in ("in_transfer", "ready", "collected"):
            self.set(
                "fulfillment", "GET", f"/v1/branches/B001/pickups?{state}", {"items": [{**ready, "state": state}], "next": None}
            )
        self.set("fulfillment", "PUT", f"/v1/parcels/{READY}/arrival", ready)
        self.set("fulfillment", "PUT", f"/v1/parcels/{READY}/handover", {**ready, "state": "collected"})

    def set(self, service: str, method: str, path: str, body: Any, status: int = 200, **headers: str) -> None:
        """From now on this is answered there."""
        self.by_path[service, method, path] = (status, body, headers)

    def refuse(self, service: str, method: str, path: str, status: int, code: str, detail: str = "", **headers: str) -> None:
        """From now on that is refused there."""
        problem = {"type": f"https://huangou.example/problems/{code}", "status": status, "detail": detail}
        self.set(service, method, path, problem, status, **headers)

    def to(self, service: str, request: httpx.Request) -> httpx.Response:
        """The answer to a request."""
        path = request.url.path + (f"?{request.url.params['state']}" if "state" in request.url.params else "")
        status, body, headers = self.by_path.get(
            (service, request.method, path), (404, {"type": "x/not-found", "detail": ""}, {})
        )
        return httpx.Response(status, json=body, headers=headers, request=request)


@dataclass
class Street(httpx.AsyncBaseTransport):
    """Stands for the network behind the console. `down` names the services that nobody reaches, `mute` those that take the
    request and never answer it."""

    identity: httpx.ASGITransport
    answers: Answers = field(default_factory=Answers)
    down: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    seen: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = request.url.host.removesuffix(".test")
        name = "identity" if service == "127.0.0.1" else service
        self.seen.append(request)
        if name in self.down:
            raise httpx.ConnectError("nobody listens", request=request)
        if name == "identity":
            return await self.identity.handle_async_request(request)
        answer = self.answers.to(service, request)
        if name in self.mute:
            raise httpx.ReadTimeout("no answer came", request=request)
        return answer

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
        while (
            answer.is_redirect
            and answer.headers["location"].startswith("/")
            and not answer.headers["location"].startswith("/sign-in")
        ):
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


def new_uuid() -> str:
    """An id that nobody knows."""
    return str(uuid.uuid4())
