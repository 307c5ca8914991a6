"""What holds for every page: forms of our own alone, rooms by role, nothing foreign in a page, and nothing kept of it."""

import re

import httpx
import pytest
from fastapi import FastAPI

from services.console.app import build
from services.console.entrance import refuse_routes_without_entrance
from services.console.guard import FOR_MACHINES
from services.console.neighbours.calls import new_client
from services.console.rooms import ROOMS
from tests.support.console import CONSOLE, Desk, form_token, settings
from tests.support.console_answers import CUSTOMER, DONE, GOODS, READY, TASK

pytestmark = pytest.mark.anyio

REDEMPTION = f"/customers/{CUSTOMER}/redemptions/{GOODS}"
PAGES = {
    "/": None, "/customers": "agent supervisor branch", f"/customers/{CUSTOMER}": "agent supervisor branch",
    f"/customers/{CUSTOMER}/parts/points": "agent supervisor branch", REDEMPTION: "agent supervisor branch",
    f"{REDEMPTION}/cancellation": "agent supervisor", f"{REDEMPTION}/cancellation/outcome": "agent supervisor",
    "/pickups": "branch", f"/pickups/{READY}/handover": "branch",
    f"/pickups/{READY}/loss": "branch", "/tasks": "supervisor administrator",
    "/breaks": "auditor supervisor administrator",
}  # fmt: skip
FORMS = {
    "/customers": "agent supervisor branch", f"/customers/{CUSTOMER}/unmasking": "agent supervisor branch",
    f"{REDEMPTION}/cancellation": "agent supervisor", f"/pickups/{READY}/arrival": "branch",
    f"/pickups/{READY}/handover": "branch", f"/pickups/{READY}/loss": "branch",
    f"/tasks/fulfillment/{TASK}/redrive": "supervisor administrator",
    f"/tasks/fulfillment/{TASK}/redrive/approval": "supervisor administrator", "/sign-out": None,
}  # fmt: skip
PEOPLE = {
    "agent": "agent-1", "reviewer": "reviewer-1", "supervisor": "supervisor-1", "branch": "branch-1",
    "campaign_manager": "campaign-manager-1", "auditor": "auditor-1", "administrator": "administrator-1",
}  # fmt: skip
FILLED = {"term": "x", "reason": "x", "code": "12345678", "key": "k"}


def routes_of(app: FastAPI, method: str) -> set[str]:
    return {
        re.sub(r"\{\w+(:path)?\}", "{}", route.path)
        for route in app.routes
        if method in route.methods and route.path not in FOR_MACHINES
    }


def generic(path: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/tasks/)fulfillment|(?<=/parts/)points", "{}", path)


def test_every_page_and_every_form_is_listed_here() -> None:
    app = build(settings())
    open_pages = {"/sign-in", "/sign-in/callback", "/signed-out", "/language/{}", "/static/{}/{}"}
    assert routes_of(app, "GET") == {generic(path) for path in PAGES} | open_pages
    assert routes_of(app, "POST") == {generic(path) for path in FORMS}


def test_a_page_that_does_not_say_who_may_use_it_stops_the_start() -> None:
    app = build(settings())
    app.get("/forgotten")(lambda: None)
    with pytest.raises(RuntimeError, match="/forgotten"):
        refuse_routes_without_entrance(app, FOR_MACHINES)


@pytest.mark.proves("A5")
@pytest.mark.parametrize("role", PEOPLE)
async def test_each_role_enters_its_rooms_and_no_other(at: Desk, role: str) -> None:
    home = await at.browser.sign_in(PEOPLE[role])
    assert home.status_code == 200
    for path, roles in PAGES.items():
        answer = await at.browser.console.get(path)
        allowed = roles is None or role in roles.split()
        assert (answer.status_code == 403) is not allowed, f"{path} for {role}: {answer.status_code}"
        assert answer.status_code < 500
    for room in ROOMS:  # what one may not enter is not shown either
        assert (f'href="{room.path}"' in home.text) is (role in room.roles)
    for path, roles in FORMS.items():
        if path != "/sign-out":
            answer = await at.browser.post(path, FILLED)
            assert (answer.status_code == 403) is (role not in roles.split()), f"{path} for {role}: {answer.status_code}"


async def test_a_form_that_a_role_may_not_send_reaches_no_service(at: Desk) -> None:
    await at.browser.sign_in("auditor-1")
    at.street.seen.clear()
    for path in FORMS:
        if path != "/sign-out":
            assert (await at.browser.post(path, FILLED)).status_code == 403
    assert [request for request in at.street.seen if request.method != "GET"] == []


async def test_the_button_to_cancel_is_for_those_who_may(at: Desk) -> None:
    await at.browser.sign_in("branch-1")
    assert f"{REDEMPTION}/cancellation" not in (await at.browser.get(f"/customers/{CUSTOMER}")).text
    await at.browser.sign_in("agent-1")
    page = (await at.browser.get(f"/customers/{CUSTOMER}")).text
    assert f"{REDEMPTION}/cancellation" in page
    assert f"/redemptions/{DONE}/cancellation" not in page  # what was handed out cannot be cancelled


@pytest.mark.parametrize("path", PAGES)
async def test_without_a_sign_in_there_is_nothing_but_the_way_to_it(at: Desk, path: str) -> None:
    answer = await at.browser.console.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")
    part = await at.browser.console.get(path, headers={"HX-Request": "true", "HX-Current-URL": f"{CONSOLE}{path}"})
    assert (part.status_code, part.text) == (401, "")
    assert part.headers["hx-redirect"].startswith("/sign-in?next=")


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": CONSOLE, "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": ""},
    ],
    ids=["cross-site", "lying", "same-site", "null"],
)
async def test_a_form_from_elsewhere_is_refused_even_with_the_right_token(at: Desk, path: str, headers: dict[str, str]) -> None:
    await at.browser.sign_in("supervisor-1" if path != "/sign-out" else "agent-1")
    answer = await at.browser.post(path, FILLED, **headers)
    assert answer.status_code == 403
    assert (await at.browser.get("/")).status_code == 200  # and nobody is signed out by it


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_without_the_sessions_token_is_refused(at: Desk, path: str) -> None:
    theirs = form_token(await at.browser.sign_in("agent-2"))
    await at.browser.sign_in("supervisor-1")
    headers = {"Origin": CONSOLE, "Content-Type": "application/x-www-form-urlencoded"}
    for token in ("", "form_token=", f"form_token={theirs}", "form_token=%C3%A9"):
        answer = await at.browser.console.post(path, content=f"reason=x&code=1&term=x&{token}", headers=headers)
        assert answer.status_code == 403, token


async def test_a_form_of_a_browser_that_says_nothing_of_its_origin_is_refused(at: Desk) -> None:
    token = form_token(await at.browser.sign_in("agent-1"))
    answer = await at.browser.console.post(
        "/customers", content=f"form_token={token}&term=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 403


async def test_a_form_of_a_session_that_ended_changes_nothing_and_says_so(at: Desk) -> None:
    token = form_token(await at.browser.sign_in("agent-1"))
    at.wait(3600)
    at.street.seen.clear()
    answer = await at.browser.console.post(
        f"{REDEMPTION}/cancellation",
        content=f"form_token={token}&reason=x",
        headers={"Origin": CONSOLE, "Accept-Language": "en"},
    )
    assert answer.status_code == 401
    assert "Nothing was changed" in answer.text
    assert at.street.seen == []


@pytest.mark.parametrize("size", [17_000, 200_000])
async def test_a_form_has_a_size(at: Desk, size: int) -> None:
    await at.browser.sign_in("agent-1")
    assert (await at.browser.post("/customers", {"term": "x" * size})).status_code == 413


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/signed-out"])
async def test_no_page_runs_foreign_or_inline_content_stands_in_a_frame_or_is_kept(at: Desk, path: str) -> None:
    await at.browser.sign_in("supervisor-1")
    answer = await at.browser.console.get(path)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(
        policy.split("; ")
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style|javascript:", answer.text)
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", answer.text)


async def test_what_a_service_sends_is_text_and_never_part_of_the_page(at: Desk) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    person = {"customer_id": CUSTOMER, "customer_number": evil, "tier": evil, "language": "en", "name": evil, "phone": evil}
    at.street.answers.set("redemption", "GET", f"/v1/customers/{CUSTOMER}", person)
    await at.browser.sign_in("agent-1")
    page = (await at.browser.get(f"/customers/{CUSTOMER}")).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_the_console_answers_to_its_own_name_alone(at: Desk) -> None:
    transport = at.browser.console._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://rebound.example") as elsewhere:
        assert (await elsewhere.get("/customers")).headers["location"] == CONSOLE
        assert (await elsewhere.post("/sign-out")).status_code == 421
        for path in FOR_MACHINES:
            assert (await elsewhere.get(path)).status_code == 200


async def test_style_and_scripts_are_packed_and_kept_for_ever_under_their_content(at: Desk) -> None:
    page = (await at.browser.get("/signed-out")).text
    addresses = re.findall(r'"(/static/[^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        answer = await at.browser.console.get(address, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        plain = await at.browser.console.get(address, headers={"Accept-Encoding": "identity"})
        assert plain.content == answer.content
        old = await at.browser.console.get(re.sub(r"/static/\w+/", "/static/older/", address))
        assert old.headers["cache-control"] == "no-cache"
    for path in ("../app.py", "vendor/htmx-4.0.1/LICENSE", "none.css"):
        assert (await at.browser.console.get(f"/static/x/{path}")).status_code == 404


async def test_a_cookie_that_a_service_or_a_proxy_sets_for_one_agent_goes_with_no_others_call() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={}, headers={"Set-Cookie": "node=agent-1; Path=/"})

    async with new_client(httpx.MockTransport(answer)) as client:
        for _ in range(2):
            await client.get("http://redemption.test/v1/breaks")
    assert len(seen) == 2
    assert "cookie" not in seen[1].headers


@pytest.mark.proves("G48")
async def test_no_token_code_or_caller_stands_in_an_address_or_a_log(at: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    await at.browser.sign_in("branch-1")
    await at.browser.post("/customers", {"term": "13800000001"})
    await at.browser.post(f"/pickups/{READY}/handover", {"code": "12345678"})
    at.street.down |= {"redemption", "fulfillment"}
    await at.browser.post("/customers", {"term": "13800000001"})
    await at.browser.post(f"/pickups/{READY}/handover", {"code": "12345678"})
    said = "".join(capsys.readouterr())
    for address in [str(request.url) for request in at.street.seen] + [said]:
        assert not re.search(r"eyJ|13800000001|12345678", address)
