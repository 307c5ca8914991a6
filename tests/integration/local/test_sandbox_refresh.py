"""Prolonging a sign-in at the sandbox's identity provider, and ending it."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from deploy.sandbox.identity.app import build
from deploy.sandbox.identity.codes import challenge_of
from deploy.sandbox.identity.settings import IdentitySettings
from deploy.sandbox.identity.tokens import Signer

pytestmark = pytest.mark.anyio

ISSUER, CALLBACK, SECRET = "http://127.0.0.1:8109", "http://127.0.0.1:8100/sign-in/callback", "sixteen-or-more-characters"
SEED = bytes(range(32))
VERIFIER = "v" * 43


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    secrets = {name: SecretStr(SECRET) for name in ("console", "operations")}
    settings = IdentitySettings(issuer=ISSUER, signing_key=SEED, till_key=SEED, client_secrets=secrets)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build(settings)), base_url=ISSUER) as client:
        yield client


async def sign_in(http: httpx.AsyncClient, subject: str = "agent-1", client: str = "console") -> dict[str, Any]:
    asked = {
        "response_type": "code", "client_id": client, "redirect_uri": CALLBACK, "state": "s", "nonce": "n", "scope": "openid",
        "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", "subject": subject,
    }  # fmt: skip
    code = parse_qs(urlsplit((await http.post("/authorize", data=asked)).headers["location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    secret = {"client_secret": SECRET} if client == "console" else {}
    found: dict[str, Any] = (await http.post("/token", data=form | secret | {"client_id": client})).json()
    return found


async def refresh(http: httpx.AsyncClient, token: str, client: str = "console") -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client, "client_secret": SECRET}
    return await http.post("/token", data=form)


async def test_a_refresh_token_prolongs_the_sign_in_of_the_same_person_and_is_good_once(http: httpx.AsyncClient) -> None:
    first = await sign_in(http)
    answer = await refresh(http, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    claims = Signer(SEED, ISSUER).read(second["access_token"])
    assert (claims["sub"], claims["roles"]) == ("agent-1", ["agent"])
    assert (await refresh(http, second["refresh_token"])).status_code == 200


async def test_a_used_refresh_token_ends_the_whole_sign_in(http: httpx.AsyncClient) -> None:
    first = await sign_in(http)
    second = (await refresh(http, first["refresh_token"])).json()
    assert (await refresh(http, first["refresh_token"])).json() == {"error": "invalid_grant"}
    assert (await refresh(http, second["refresh_token"])).json() == {"error": "invalid_grant"}
    assert (await refresh(http, (await sign_in(http))["refresh_token"])).status_code == 200  # another sign-in stands


async def test_a_revoked_sign_in_is_not_prolonged(http: httpx.AsyncClient) -> None:
    first = await sign_in(http)
    form = {"token": first["refresh_token"], "client_id": "console", "client_secret": SECRET}
    assert (await http.post("/revoke", data=form)).status_code == 200
    assert (await refresh(http, first["refresh_token"])).json() == {"error": "invalid_grant"}
    assert (await http.post("/revoke", data=form)).status_code == 200  # says the same
    assert (await http.post("/revoke", data=form | {"client_secret": "wrong"})).status_code == 401


async def test_only_the_console_gets_refresh_tokens_and_nobody_guesses_one(http: httpx.AsyncClient) -> None:
    assert "refresh_token" not in await sign_in(http, "customer-00001", "mobile-app")
    assert (await refresh(http, "guessed")).json() == {"error": "invalid_grant"}
    assert (await refresh(http, "guessed", client="operations")).json() == {"error": "unauthorized_client"}
