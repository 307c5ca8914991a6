"""The sandbox's identity provider, asked as an app, a console, a service and a till would ask it."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from deploy.sandbox.identity.app import build
from deploy.sandbox.identity.clients import CLIENTS, till_secret
from deploy.sandbox.identity.codes import challenge_of
from deploy.sandbox.identity.settings import IdentitySettings
from deploy.sandbox.identity.tokens import Signer
from shared.identity import Principal, TokenVerifier
from shared.problems import InvalidToken

pytestmark = pytest.mark.anyio

ISSUER = "http://127.0.0.1:8109"
SEED, TILL_KEY = bytes(range(32)), bytes(range(32, 64))
SECRET = "sixteen-or-more-characters"
PROGRAMS = ("console", "catalog", "redemption", "fulfillment", "operations", "bank-feeds")
VERIFIER = "v" * 43
CALLBACK = "http://127.0.0.1:5000/callback"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    settings = IdentitySettings(
        issuer=ISSUER,
        signing_key=SEED,
        till_key=TILL_KEY,
        client_secrets={name: SecretStr(SECRET) for name in PROGRAMS},
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build(settings)), base_url=ISSUER) as client:
        yield client


def asked(**changes: str) -> dict[str, str]:
    return {
        "response_type": "code", "client_id": "mobile-app", "redirect_uri": CALLBACK, "state": "s t", "nonce": "n",
        "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", **changes,
    }  # fmt: skip


def exchanged(code: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": "mobile-app",
        "code_verifier": VERIFIER, **changes,
    }  # fmt: skip


async def sign_in(http: httpx.AsyncClient, subject: str, **changes: str) -> dict[str, list[str]]:
    answer = await http.post("/authorize", data=asked(**changes) | {"subject": subject})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    return parse_qs(urlsplit(answer.headers["location"]).query)


async def principal(http: httpx.AsyncClient, token: str) -> Principal:
    """The token as our services read it."""
    keys = (await http.get("/jwks")).json()

    class Published:
        async def fetch(self) -> dict[str, Any]:
            return dict(keys)

    return await TokenVerifier(Published(), issuer=ISSUER, audience="huangou").verify(f"Bearer {token}")


@pytest.mark.proves("X2")
async def test_a_customer_signs_in_with_code_and_pkce_and_our_services_know_them(http: httpx.AsyncClient) -> None:
    page = await http.get("/authorize", params=asked())
    assert page.status_code == 200
    assert "Sandbox" in page.text
    assert "沙盒" in page.text
    returned = await sign_in(http, "customer-00042")
    assert (returned["state"], returned["iss"]) == (["s t"], [ISSUER])
    answer = (await http.post("/token", data=exchanged(returned["code"][0]))).json()
    who = await principal(http, answer["access_token"])
    assert (who.kind, who.subject, who.client_id) == ("customer", "customer-00042", "mobile-app")
    assert {"redemptions:write", "points:read"} <= who.scopes
    about = await http.get("/userinfo", headers={"Authorization": f"Bearer {answer['access_token']}"})
    assert about.json()["sub"] == "customer-00042"
    with pytest.raises(InvalidToken):  # the proof of sign-in is no access token
        await principal(http, answer["id_token"])


async def test_a_member_of_staff_signs_in_through_the_console_with_role_branch_and_person(http: httpx.AsyncClient) -> None:
    returned = await sign_in(http, "branch-1", client_id="console")
    form = exchanged(returned["code"][0], client_id="console")
    assert (await http.post("/token", data=form)).status_code == 401  # the console has a secret
    returned = await sign_in(http, "branch-1", client_id="console")
    form = exchanged(returned["code"][0], client_id="console", client_secret=SECRET)
    who = await principal(http, (await http.post("/token", data=form)).json()["access_token"])
    assert (who.kind, who.roles, who.branch, who.person) == ("staff", {"branch"}, "B001", "branch-1")


@pytest.mark.parametrize(
    ("client_id", "secret", "kind", "scopes"),
    [
        ("redemption", SECRET, "service", {"internal", "reservations:write", "fulfillments:write"}),
        ("fulfillment", SECRET, "service", {"internal", "outcomes:write"}),
        ("bank-feeds", SECRET, "service", {"feeds:write"}),
        ("operations", SECRET, "service", {"feeds:write", "reconcile:read", "campaigns:write", "tasks:write"}),
        ("till:M001:T01", till_secret(TILL_KEY, "till:M001:T01"), "merchant", {"vouchers:verify", "vouchers:use"}),
    ],
)
async def test_programs_and_tills_get_tokens_of_their_own(
    http: httpx.AsyncClient, client_id: str, secret: str, kind: str, scopes: set[str]
) -> None:
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    answer = await http.post("/token", data={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"})
    who = await principal(http, answer.json()["access_token"])
    assert (who.kind, who.subject, who.scopes) == (kind, client_id, scopes)
    if kind == "merchant":
        assert (who.merchant, who.terminal) == ("M001", "T01")


async def test_fewer_scopes_can_be_asked_for_and_never_more(http: httpx.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "client_id": "operations", "client_secret": SECRET}
    some = await http.post("/token", data=form | {"scope": "reconcile:read internal"})
    assert some.json()["scope"] == "reconcile:read"
    none = await http.post("/token", data=form | {"scope": "internal"})
    assert (none.status_code, none.json()["error"]) == (400, "invalid_scope")


@pytest.mark.proves("X2")
async def test_what_moves_something_between_services_is_one_clients_alone_and_the_catalog_calls_nobody(
    http: httpx.AsyncClient,
) -> None:
    moves = {"reservations:write": "redemption", "fulfillments:write": "redemption", "outcomes:write": "fulfillment"}
    for scope, owner in moves.items():
        assert [client.id for client in CLIENTS.values() if scope in client.scopes] == [owner]
    for scope in ("", "internal", *moves):
        form = {"grant_type": "client_credentials", "client_id": "catalog", "client_secret": SECRET, "scope": scope}
        answer = await http.post("/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), scope


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:5001/callback"},
        {"code": "never-given"},
    ],
)
async def test_a_code_serves_once_and_only_whoever_asked_for_it(http: httpx.AsyncClient, change: dict[str, str]) -> None:
    code = (await sign_in(http, "customer-00001"))["code"][0]
    wrong = await http.post("/token", data=exchanged(code) | change)
    assert (wrong.status_code, wrong.json()) == (400, {"error": "invalid_grant"})
    code = (await sign_in(http, "customer-00001"))["code"][0]
    assert (await http.post("/token", data=exchanged(code))).status_code == 200
    assert (await http.post("/token", data=exchanged(code))).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"},
        {"client_id": "redemption"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1@evil.example/"},
        {"redirect_uri": "http://[broken"},
        {"redirect_uri": "huangou://callback", "client_id": "console"},
    ],
)
async def test_nothing_is_sent_to_an_address_that_is_not_the_clients(http: httpx.AsyncClient, change: dict[str, str]) -> None:
    for answer in (
        await http.get("/authorize", params=asked(**change)),
        await http.post("/authorize", data=asked(**change) | {"subject": "customer-00001"}),
    ):
        assert answer.status_code == 400
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"subject": "agent-1"}, "access_denied"),
        ({"subject": "customer-1"}, "access_denied"),
    ],
)
async def test_without_pkce_or_with_another_kind_of_person_nobody_signs_in(
    http: httpx.AsyncClient, change: dict[str, str], error: str
) -> None:
    returned = await sign_in(http, **({"subject": "customer-00001"} | change))
    assert returned["error"] == [error]
    assert "code" not in returned


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "operations", "client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "till:M001:T01", "client_secret": till_secret(TILL_KEY, "till:M001:T02")}, 401, "invalid_client"),
        ({"client_id": "catalog", "client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "mobile-app"}, 400, "unauthorized_client"),
        ({"client_id": "console", "client_secret": SECRET}, 400, "unauthorized_client"),
        ({"client_id": "operations", "client_secret": SECRET, "grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_who_is_not_proved_gets_no_token(http: httpx.AsyncClient, form: dict[str, str], status: int, error: str) -> None:
    answer = await http.post("/token", data={"grant_type": "client_credentials"} | form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert answer.headers["cache-control"] == "no-store"


async def test_another_hosts_name_a_huge_body_and_a_foreign_token_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/jwks", headers={"Host": "evil.example"})).status_code == 400
    assert (await http.post("/token", content=b"a" * 20_000)).status_code == 413
    assert (await http.post("/token", content=b"\xff\xfe=")).status_code in (400, 401)
    foreign = Signer(bytes(32), ISSUER).for_person("agent-1")
    assert (await http.get("/userinfo", headers={"Authorization": f"Bearer {foreign}"})).status_code == 401


async def test_tokens_outlive_a_restart_and_the_discovery_document_names_what_there_is(http: httpx.AsyncClient) -> None:
    who = await principal(http, Signer(SEED, ISSUER).for_person("supervisor-2"))
    assert who.roles == {"supervisor"}
    document = (await http.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "sandbox" in document["service_documentation"].lower()


async def test_signing_out_goes_back_only_to_where_the_client_may_go(http: httpx.AsyncClient) -> None:
    back = await http.get("/end-session", params={"client_id": "console", "post_logout_redirect_uri": CALLBACK, "state": "x"})
    assert back.headers["location"] == f"{CALLBACK}?state=x"
    away = await http.get("/end-session", params={"client_id": "console", "post_logout_redirect_uri": "https://evil.example"})
    assert (away.status_code, "location" in away.headers) == (200, False)
