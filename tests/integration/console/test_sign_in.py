"""Signing in at the identity provider and out again: nothing that was changed, replayed or made elsewhere is believed."""

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from deploy.sandbox.identity.tokens import Signer
from tests.support.console import CONSOLE, IDENTITY, Desk, desk
from tests.support.console_answers import CUSTOMER, GOODS

pytestmark = pytest.mark.anyio


async def callback(at: Desk, subject: str = "agent-1") -> str:
    """The address with which the provider sends the browser back."""
    way = await at.browser.console.get("/sign-in")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(way.headers["location"]).query).items()}
    back = await at.browser.identity.post("/authorize", data={**asked, "subject": subject})
    return str(back.headers["location"]).removeprefix(CONSOLE)


@pytest.mark.proves("A5", "X2")
async def test_an_agent_signs_in_and_is_back_where_they_wanted_to_go(at: Desk) -> None:
    way = await at.browser.console.get("/customers")
    assert (way.status_code, way.headers["location"]) == (303, "/sign-in?next=%2Fcustomers")
    page = await at.browser.sign_in("agent-1", "/customers")
    assert page.status_code == 200
    assert "Agent 座席 1" in page.text
    assert page.url.path == "/customers"


async def test_the_way_to_the_provider_carries_state_nonce_and_a_challenge_that_are_new_each_time(at: Desk) -> None:
    ways = [parse_qs(urlsplit((await at.browser.console.get("/sign-in")).headers["location"]).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert ways[0][name] != ways[1][name]
    assert ways[0]["code_challenge_method"] == ["S256"]
    assert ways[0]["redirect_uri"] == [f"{CONSOLE}/sign-in/callback"]


async def test_the_session_is_kept_from_scripts_other_sites_and_readers(at: Desk) -> None:
    answer = await at.browser.console.get(await callback(at))
    cookies = answer.headers.get_list("set-cookie")
    [session] = [cookie for cookie in cookies if cookie.startswith("huangou=")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(session.split("; "))
    assert "Secure" not in session  # plain http on loopback
    assert "agent" not in session
    assert "eyJ" not in session


async def test_behind_https_the_cookie_belongs_to_the_host_and_to_encryption() -> None:
    async with desk(time.time(), url="https://desk.bank.example") as at:
        answer = await at.browser.console.get("/sign-in")
        assert answer.headers["set-cookie"].startswith("__Host-huangou_sign_in=")
        assert {"Secure", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
        assert "Domain" not in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
        assert at.street.seen == []


async def test_a_code_is_good_once_and_in_the_browser_that_set_out(at: Desk) -> None:
    address = await callback(at)
    stranger = httpx.AsyncClient(transport=at.browser.console._transport, base_url=CONSOLE)
    async with stranger:
        answer = await stranger.get(address)
        assert answer.status_code == 401
        assert "huangou=" not in str(answer.headers.get_list("set-cookie"))
    used = await at.browser.console.get(address)
    assert used.status_code == 303
    assert any("huangou_sign_in=;" in cookie and "Max-Age=0" in cookie for cookie in used.headers.get_list("set-cookie"))
    again = await at.browser.console.get(address)  # the cookie of the way is gone
    assert again.status_code == 401


@pytest.mark.parametrize("change", [("state=", "state=x"), ("code=", "code=x"), ("iss=http", "iss=https")])
async def test_an_address_that_was_changed_signs_nobody_in(at: Desk, change: tuple[str, str]) -> None:
    address = await callback(at)
    assert change[0] in address
    answer = await at.browser.console.get(address.replace(*change))
    assert answer.status_code == 401
    assert (await at.browser.console.get("/")).status_code == 303


async def test_a_sign_in_that_took_too_long_is_begun_again(at: Desk) -> None:
    address = await callback(at)
    at.wait(601)
    assert (await at.browser.console.get(address)).status_code == 401


def id_token(**changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": IDENTITY, "aud": "console", "sub": "agent-1", "iat": now, "exp": now + 300, "kind": "staff", "roles": ["agent"],
        "nonce": "n", **changes,
    }  # fmt: skip
    signer = Signer(bytes(range(32)), IDENTITY)
    key = changes.pop("key", signer._key)
    header = {"alg": "Ed25519", "kid": signer.key_id}
    return jwt.encode(header, {k: v for k, v in claims.items() if v is not None and k != "key"}, key, algorithms=["Ed25519"])


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "mobile-app"},
        {"aud": ["console", "mobile-app"]},
        {"azp": "mobile-app"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
        {"kind": "customer"},
        {"key": OKPKey.generate_key("Ed25519")},
    ],
    ids="-".join,
)
async def test_an_id_token_that_is_not_right_in_everything_signs_nobody_in(at: Desk, changes: dict[str, Any]) -> None:
    assert await _comes_back_with(at, changes) == 401
    assert (await at.browser.console.get("/")).status_code == 303


async def test_one_that_is_right_does(at: Desk) -> None:
    assert await _comes_back_with(at, {}) == 303


async def _comes_back_with(at: Desk, changes: dict[str, Any]) -> int:
    """The status of coming back when the provider answers with an id token of the test's own making."""
    way = await at.browser.console.get("/sign-in")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(way.headers["location"]).query).items()}
    given = {"nonce": asked["nonce"], **changes}
    body = {"access_token": "a", "expires_in": 300, "id_token": id_token(**given)}
    at.street.identity = _Answering(at.street.identity, body)
    answer = await at.browser.console.get(f"/sign-in/callback?code=c&state={asked['state']}")
    return answer.status_code


class _Answering(httpx.AsyncBaseTransport):
    """The provider, whose token endpoint answers as told."""

    def __init__(self, real: httpx.AsyncBaseTransport, body: dict[str, Any]) -> None:
        self._real, self._body = real, body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json=self._body, request=request)
        return await self._real.handle_async_request(request)


async def test_an_account_whose_tokens_fit_into_no_cookie_is_told_so(at: Desk) -> None:
    way = await at.browser.console.get("/sign-in")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(way.headers["location"]).query).items()}
    body = {"access_token": "a" * 4000, "expires_in": 300, "id_token": id_token(nonce=asked["nonce"])}
    at.street.identity = _Answering(at.street.identity, body)
    answer = await at.browser.console.get(f"/sign-in/callback?code=c&state={asked['state']}", headers={"Accept-Language": "en"})
    assert answer.status_code == 401
    assert "too large" in answer.text


async def test_signing_out_ends_it_here_and_at_the_provider(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    answer = await at.browser.post("/sign-out")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{IDENTITY}/end-session?client_id=console&post_logout_redirect_uri=")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert len(at.street.asked("POST", "/revoke")) == 1
    assert (await at.browser.console.get("/")).headers["location"].startswith("/sign-in")
    back = await at.browser.identity.get(answer.headers["location"].removeprefix(IDENTITY))
    page = await at.browser.get(back.headers["location"].removeprefix(CONSOLE))
    assert "您已退出" in page.text


async def page_under_way(at: Desk) -> "asyncio.Task[httpx.Response]":
    """A customer's page that a service holds up, asked for when the session's cookie is due to be made anew."""
    at.wait(61)
    at.street.late["redemption"] = asyncio.Event()
    page = asyncio.create_task(at.browser.console.get(f"/customers/{CUSTOMER}"))
    await at.street.reached("GET", f"/v1/customers/{CUSTOMER}")
    return page


async def test_a_page_that_answers_after_the_sign_out_does_not_bring_the_session_back(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    page = await page_under_way(at)
    assert "Max-Age=0" in (await at.browser.post("/sign-out")).headers["set-cookie"]
    at.street.late["redemption"].set()
    assert "set-cookie" not in (await page).headers
    assert (await at.browser.console.get("/")).headers["location"].startswith("/sign-in")


async def test_nor_does_it_take_the_next_sessions_cookie_away(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    page = await page_under_way(at)
    await at.browser.post("/sign-out")
    await at.browser.sign_in("agent-1")
    at.street.answers.refuse("redemption", "GET", f"/v1/customers/{CUSTOMER}/points", 401, "invalid-token")
    at.street.late["redemption"].set()
    assert "set-cookie" not in (await page).headers
    assert (await at.browser.console.get("/")).status_code == 200


async def test_a_cookie_that_was_copied_before_the_sign_out_opens_nothing_after_it(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    copied = dict(at.browser.console.cookies)
    await at.browser.post("/sign-out")
    thief = httpx.AsyncClient(transport=at.browser.console._transport, base_url=CONSOLE, cookies=copied)
    async with thief:
        assert (await thief.get("/")).status_code == 303


async def test_signing_out_works_while_the_provider_does_not_answer(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.street.down.add("identity")
    assert "Max-Age=0" in (await at.browser.post("/sign-out")).headers["set-cookie"]


async def test_a_token_is_renewed_shortly_before_its_end_once_for_all_who_ask(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.wait(200)
    await at.browser.get("/")
    assert len(at.street.asked("POST", "/token")) == 1  # good for another hundred seconds
    at.wait(60)
    pages = await asyncio.gather(*(at.browser.console.get("/") for _ in range(5)))
    assert [page.status_code for page in pages] == [200] * 5
    assert len(at.street.asked("POST", "/token")) == 2


async def test_a_sign_in_that_the_provider_ended_is_over(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    [exchange] = at.street.asked("POST", "/token")
    at.street.identity = _Answering(at.street.identity, {})
    at.wait(301)
    answer = await at.browser.console.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2F")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert exchange.headers["authorization"].startswith("Basic ")


async def test_while_the_provider_is_silent_a_token_serves_to_its_end_and_then_the_page_says_so(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.street.down.add("identity")
    at.wait(270)
    assert (await at.browser.get("/")).status_code == 200
    at.wait(60)
    answer = await at.browser.get("/", **{"Accept-Language": "en"})
    assert answer.status_code == 503
    assert "identity provider does not answer" in answer.text
    at.street.down.clear()
    assert (await at.browser.get("/")).status_code == 200


async def test_an_idle_session_ends(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.wait(31 * 60)
    assert (await at.browser.console.get("/")).status_code == 303


BY_ITSELF = {"HX-Request": "true", "Huangou-By-Itself": "true", "HX-Current-URL": f"{CONSOLE}/customers/{CUSTOMER}"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/customers/{CUSTOMER}/parts/points", BY_ITSELF),
        (f"/customers/{CUSTOMER}/redemptions/{GOODS}/cancellation/outcome", BY_ITSELF),
        (f"/customers/{CUSTOMER}/redemptions/{GOODS}/cancellation/outcome", {}),  # without JavaScript
    ],
)
async def test_what_a_page_asks_by_itself_is_no_work_and_keeps_no_session(at: Desk, path: str, headers: dict[str, str]) -> None:
    await at.browser.sign_in("agent-1")
    for _ in range(7):
        at.wait(4 * 60 + 15)  # within the last seconds of each token
        assert (await at.browser.console.get(path, headers=headers)).status_code == 200
    assert len(at.street.asked("POST", "/token")) > 1  # its tokens are renewed meanwhile
    at.wait(60)
    answer = await at.browser.console.get(path, headers=headers)
    assert answer.status_code == (401 if headers else 303)
    if headers:  # not to the provider, which might sign in again without anybody there
        assert answer.headers["hx-redirect"] == "/signed-out"
        assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_what_an_agent_asks_for_keeps_it(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    by_hand = {name: value for name, value in BY_ITSELF.items() if name != "Huangou-By-Itself"}
    for _ in range(3):
        at.wait(20 * 60)
        assert (await at.browser.console.get(f"/customers/{CUSTOMER}/parts/points", headers=by_hand)).status_code == 200
