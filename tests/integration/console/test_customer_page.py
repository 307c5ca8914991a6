"""Finding a caller and seeing everything about them: masked, in words, and whole again when a service comes back."""

import asyncio
import json
import re

import pytest

from tests.support.console import Desk
from tests.support.console_answers import CUSTOMER, PARCEL, READY

pytestmark = pytest.mark.anyio

PAGE = f"/customers/{CUSTOMER}"
SEARCH = "/v1/customers/search"
EN = {"Accept-Language": "en"}


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.proves("A1")
async def test_one_box_finds_a_caller_by_phone_number_and_name_and_asks_by_post(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    for term, kind in [("+86 138 0000 0001", "phone"), ("C000001", "customer_number"), ("王小明", "name")]:
        at.street.seen.clear()
        answer = await at.browser.post("/customers", {"term": term})
        assert (answer.status_code, answer.headers["location"]) == (303, PAGE)  # one alone is shown at once
        [look] = at.street.asked("POST", SEARCH)
        assert json.loads(look.content) == {kind: term}
        assert look.headers["authorization"].startswith("Bearer ey")  # the agent's own


async def test_digits_that_are_no_phone_are_looked_for_as_a_customer_number(at: Desk) -> None:
    at.street.answers.refuse("redemption", "POST", SEARCH, 422, "validation-error", "not a phone")
    await at.browser.sign_in("agent-1")
    page = await at.browser.post("/customers", {"term": "1234567"}, **EN)
    assert [json.loads(look.content) for look in at.street.asked("POST", SEARCH)] == [
        {"phone": "1234567"},
        {"customer_number": "1234567"},
    ]
    assert "Nobody was found" in page.text


async def test_several_are_listed_masked(at: Desk) -> None:
    found = [
        {
            "customer_id": CUSTOMER,
            "customer_number": f"C{n}",
            "tier": "gold",
            "language": "en",
            "name": "A***",
            "phone": "138****0001",
        }
        for n in range(3)
    ]
    at.street.answers.set("redemption", "POST", SEARCH, {"items": found, "more": True})
    await at.browser.sign_in("agent-1")
    page = await at.browser.post("/customers", {"term": "Anna"}, **EN)
    assert page.status_code == 200
    assert page.text.count(f'href="{PAGE}"') == 3
    assert "3 customers found" in page.text
    assert "There are more" in page.text


@pytest.mark.proves("A1", "R8")
async def test_the_page_holds_points_redemptions_parcels_vouchers_and_notices(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    page = text_of((await at.browser.get(PAGE, **EN)).text)
    for said in [
        "王**", "C000001", "17,200", "1,200", "31 Dec 2026 soon 2,600", "30 Jun 2027 6,800",
        "2,600 points expire within 90 days",
        "Vacuum flask × 2 20 Nov 2026, 10:30 4,200 On its way", "The parcel was sent and is on its way.",
        "number SE1234567890",
        "To be picked up by 6 Dec 2026 at the latest", "Coffee voucher CNY 30.00 31 Dec 2026 Can be used", "Parcel sent",
    ]:  # fmt: skip
        assert said in page, said


async def test_where_a_parcel_is_comes_first_in_words_to_be_read_out(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    for language, said in {
        "zh-Hans": "包裹已经寄出，正在路上。",
        "zh-Hant": "包裹已經寄出，正在路上。",
        "en": "The parcel was sent",
    }.items():
        page = (await at.browser.get(PAGE, **{"Accept-Language": language})).text
        article = page[page.index("<article") :]
        assert said in article[: article.index("</p>")]


async def test_the_services_are_asked_in_the_agents_language(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    for language in ("zh-Hans", "zh-Hant", "en"):
        at.street.seen.clear()
        await at.browser.get(PAGE, **{"Accept-Language": language})
        assert len(at.street.seen) == 7
        assert {request.headers["accept-language"] for request in at.street.seen} == {language}


async def test_the_chosen_language_is_remembered_and_leads_back_to_the_page(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    chosen = await at.browser.console.get(f"/language/en?next={PAGE}", headers={"Accept-Language": "zh"})
    assert chosen.headers["location"] == PAGE
    assert "Max-Age=31536000" in chosen.headers["set-cookie"]
    assert 'lang="en"' in (await at.browser.get(PAGE, **{"Accept-Language": "zh"})).text
    assert (await at.browser.console.get("/language/tlh?next=//evil.example")).headers["location"] == "/"


@pytest.mark.proves("A1", "G48")
async def test_a_customer_is_shown_in_full_for_a_reason_and_hidden_again_after_a_minute(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    assert "王样例" not in (await at.browser.get(PAGE)).text
    page = await at.browser.post(f"{PAGE}/unmasking", {"reason": "delivery phone"}, page=PAGE)
    assert "王样例" in page.text
    assert "+8613800000001" in page.text
    assert page.headers["refresh"] == f"60; url={PAGE}"
    assert page.headers["cache-control"] == "no-store"
    [look] = at.street.asked("POST", f"/v1{PAGE}/unmasking")
    assert json.loads(look.content) == {"reason": "delivery phone"}
    part = await at.browser.post(f"{PAGE}/unmasking", {"reason": "again"}, page=PAGE, **{"HX-Request": "true"})
    assert 'hx-trigger="load delay:60s"' in part.text
    hidden = await at.browser.console.get(f"{PAGE}/parts/header", headers={"HX-Request": "true"})
    assert "王样例" not in hidden.text
    assert "<html" not in hidden.text


@pytest.mark.proves("G48", "G53")
@pytest.mark.parametrize("fault", ["down", "mute"])
async def test_what_was_shown_in_full_is_hidden_after_its_minute_while_redemption_is_silent_too(at: Desk, fault: str) -> None:
    await at.browser.sign_in("agent-1")
    await at.browser.post(f"{PAGE}/unmasking", {"reason": "delivery phone"}, page=PAGE)
    getattr(at.street, fault).add("redemption")
    hidden = await at.browser.console.get(f"{PAGE}/parts/header", headers={"HX-Request": "true", **EN})
    assert hidden.status_code == 200  # a 204 would leave everything on the screen
    assert 'id="part-header"' in hidden.text
    assert "the redemption system does not answer" in hidden.text
    assert f'hx-get="{PAGE}/parts/header" hx-trigger="every 3s"' in hidden.text
    assert "王" not in hidden.text


async def test_what_is_shown_in_full_is_marked_for_the_script_that_removes_it(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    page = await at.browser.post(f"{PAGE}/unmasking", {"reason": "delivery phone"}, page=PAGE)
    assert 'data-unmasked="60"' in page.text
    assert re.findall(r"data-full>([^<]+)<", page.text) == ["王样例", "+8613800000001"]
    masked = await at.browser.get(PAGE)
    assert "data-unmasked" not in masked.text
    assert "data-full" not in masked.text


async def test_without_a_reason_nothing_is_shown_in_full(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    answer = await at.browser.post(f"{PAGE}/unmasking", {"reason": "  "}, page=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    assert at.street.asked("POST", f"/v1{PAGE}/unmasking") == []


@pytest.mark.proves("G53")
@pytest.mark.parametrize("fault", ["down", "mute"])
async def test_while_fulfillment_is_down_the_rest_is_shown_and_what_is_missing_is_said(at: Desk, fault: str) -> None:
    await at.browser.sign_in("agent-1")
    getattr(at.street, fault).add("fulfillment")
    page = await at.browser.get(PAGE, **EN)
    assert page.status_code == 200
    assert "17,200" in page.text
    assert page.text.count("the fulfillment system does not answer") == 3  # parcels, vouchers, notices
    assert f'hx-get="{PAGE}/parts/parcels" hx-trigger="every 3s"' in page.text
    assert "Try again now" in page.text
    part = await at.browser.console.get(f"{PAGE}/parts/parcels", headers={"HX-Request": "true"})
    assert part.status_code == 204  # what the page says still holds
    getattr(at.street, fault).clear()
    at.street.answers.set("fulfillment", "GET", f"/v1{PAGE}/parcels", {"items": [], "next": None})
    part = await _until_healed(at)
    assert "There are no parcels" in part
    assert "every 3s" not in part


async def _until_healed(at: Desk) -> str:
    """Ask as the page does until the section is there; the breaker lets a call through every two seconds."""
    for _ in range(30):
        part = await at.browser.console.get(f"{PAGE}/parts/parcels", headers={"HX-Request": "true", **EN})
        if part.status_code == 200:
            return part.text
        await asyncio.sleep(0.2)
    raise AssertionError("it did not heal")


@pytest.mark.proves("G53")
async def test_while_redemption_is_down_parcels_can_be_read_out_and_finding_says_what_is_wrong(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.street.down.add("redemption")
    page = await at.browser.get(PAGE, **EN)
    assert page.status_code == 200
    assert "The parcel was sent and is on its way." in page.text
    assert page.text.count("the redemption system does not answer") == 3  # who, points, redemptions
    found = await at.browser.post("/customers", {"term": "C000001"}, **EN)
    assert found.status_code == 503
    assert "The redemption system does not answer" in found.text
    assert 'name="term" value="C000001"' in found.text  # try again is one button


async def test_with_everything_down_there_is_still_a_page(at: Desk) -> None:
    await at.browser.sign_in("supervisor-1")
    at.street.down |= {"catalog", "redemption", "fulfillment"}
    for path in ("/", PAGE, "/tasks", "/breaks", f"{PAGE}/redemptions/{PARCEL}"):
        page = await at.browser.get(path, **EN)
        assert page.status_code == 200
        assert "does not answer" in page.text
        assert "Traceback" not in page.text


async def test_a_customer_who_is_not_there_is_not_found(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    assert (await at.browser.get(f"/customers/{READY}")).status_code == 404
    assert (await at.browser.get("/customers/no-id")).status_code == 404
    assert (await at.browser.get(f"{PAGE}/parts/nothing")).status_code == 404


async def test_a_token_that_a_service_does_not_take_asks_for_a_new_sign_in_without_going_in_circles(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.street.answers.refuse("redemption", "GET", f"/v1{PAGE}/points", 401, "invalid-token")
    page = await at.browser.get(PAGE, **EN)
    assert page.status_code == 401
    assert 'href="/sign-in"' in page.text
    assert (await at.browser.console.get("/")).status_code == 303  # and the session is gone


async def test_what_nobody_expected_has_a_page_with_every_safety_and_no_trace(at: Desk) -> None:
    at.street.answers.set("redemption", "GET", f"/v1{PAGE}", {"surprise": True})
    await at.browser.sign_in("agent-1")
    page = await at.browser.get(PAGE, **EN)
    assert page.status_code == 500
    assert "Something went wrong here" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "UndefinedError" not in page.text
