"""Cancelling for a customer: what comes back is named first, it is done once, and every answer is said plainly."""

import json
import re
from uuid import UUID

import pytest

from tests.support.console import Desk
from tests.support.console_answers import COFFEE, CUSTOMER, FLASKS, GOODS, part, redemption

pytestmark = pytest.mark.anyio

PAGE = f"/customers/{CUSTOMER}/redemptions/{GOODS}"
FORM = f"{PAGE}/cancellation"
CALL = f"/v1/redemptions/{GOODS}/cancellation"
EN = {"Accept-Language": "en"}


async def filled(at: Desk, **changes: str) -> dict[str, str]:
    """The form as the page has it, with a reason."""
    page = await at.browser.get(FORM, **EN)
    [key] = re.findall(r'name="key" value="([^"]+)"', page.text)
    return {"key": key, "reason": "wrong reward", **changes}


@pytest.mark.proves("R6", "R8")
async def test_the_timeline_is_shown_in_words(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    page = (await at.browser.get(PAGE, **EN)).text
    assert "Received; 4200 points were set aside." in page
    assert page.index("Received;") < page.index("The redemption is confirmed")
    part = await at.browser.console.get(PAGE, headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert 'class="timeline"' in part.text


@pytest.mark.proves("A2", "R6")
async def test_what_comes_back_is_named_before_and_what_came_back_after(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    before = (await at.browser.get(FORM, **EN)).text
    assert "4,200 points go back to the customer" in before
    assert "Vacuum flask\u00a0×\u00a02" in before
    answer = await at.browser.post(FORM, await filled(at), **EN)
    assert answer.status_code == 200
    assert "It is cancelled" in answer.text
    assert "4,200 points were given back" in answer.text
    [call] = at.street.asked("POST", CALL)
    assert json.loads(call.content) == {"reason": "wrong reward"}


async def test_a_double_click_or_a_reload_sends_the_same_key_and_another_form_another(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    form = await filled(at)
    for _ in range(2):
        await at.browser.post(FORM, form)
    await at.browser.post(FORM, await filled(at))
    keys = [call.headers["idempotency-key"] for call in at.street.asked("POST", CALL)]
    assert keys[0] == keys[1] == form["key"]
    assert keys[2] != keys[0]


@pytest.mark.parametrize("key", ["", "k", "x\r\nX-Evil: 1", "é" * 36, "1" * 300, "01890000-0000-7000-8000-00000000000z"])
async def test_a_key_that_no_form_of_ours_carries_goes_into_no_header(at: Desk, key: str) -> None:
    await at.browser.sign_in("agent-1")
    answer = await at.browser.post(FORM, await filled(at, key=key), **EN)
    assert "It is cancelled" in answer.text
    [call] = at.street.asked("POST", CALL)
    made = call.headers["idempotency-key"]
    assert made != key
    assert str(UUID(made)) == made


async def test_it_takes_a_reason(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    form = await filled(at, reason=" ")
    answer = await at.browser.post(FORM, form, **EN)
    assert answer.status_code == 422
    assert "Please give a reason" in answer.text
    assert form["key"] in answer.text
    assert at.street.asked("POST", CALL) == []


async def test_too_late_is_said_plainly(at: Desk) -> None:
    at.street.answers.refuse("redemption", "POST", CALL, 409, "too-late-to-cancel", "Too late.")
    await at.browser.sign_in("agent-1")
    for language, said in (("en", "It is too late to cancel"), ("zh", "来不及取消")):
        answer = await at.browser.post(FORM, await filled(at), **{"Accept-Language": language})
        assert said in answer.text


async def test_what_is_not_decided_yet_is_followed_until_it_is(at: Desk) -> None:
    waiting = {**at.street.answers.redemptions[0], "state": "cancelling", "state_words": "Being cancelled"}
    at.street.answers.set("redemption", "POST", CALL, waiting, 202)
    at.street.answers.set("redemption", "GET", f"/v1/redemptions/{GOODS}", {**waiting, "timeline": []})
    await at.browser.sign_in("agent-1")
    answer = await at.browser.post(FORM, await filled(at), **EN)
    assert "The cancellation is under way" in answer.text
    assert answer.headers["refresh"] == f"3; url={FORM}/outcome"  # without JavaScript
    assert f'hx-get="{FORM}/outcome" hx-trigger="every 3s"' in answer.text
    assert "under way" in (await at.browser.get(f"{FORM}/outcome", **EN)).text
    at.street.answers.set("redemption", "GET", f"/v1/redemptions/{GOODS}", {**waiting, "state": "cancelled", "timeline": []})
    after = await at.browser.get(f"{FORM}/outcome", **EN)
    assert "It is cancelled" in after.text
    assert "refresh" not in after.headers
    assert "hx-trigger" not in after.text[after.text.index("<main") :]


@pytest.mark.parametrize(
    ("fault", "said"), [("down", "Nothing was changed"), ("mute", "the same request is carried out once only")]
)
async def test_when_nobody_answers_the_same_form_can_be_sent_again(at: Desk, fault: str, said: str) -> None:
    await at.browser.sign_in("agent-1")
    form = await filled(at)
    getattr(at.street, fault).add("redemption")
    answer = await at.browser.post(FORM, form, **EN)
    assert answer.status_code == 503
    assert said in answer.text
    assert f'name="key" value="{form["key"]}"' in answer.text
    assert 'value="wrong reward"' in answer.text
    getattr(at.street, fault).clear()
    assert "It is cancelled" in (await at.browser.post(FORM, form, **EN)).text
    assert len({call.headers["idempotency-key"] for call in at.street.asked("POST", CALL)}) == 1


async def test_another_refusal_is_said_in_the_services_words(at: Desk) -> None:
    at.street.answers.refuse("redemption", "POST", CALL, 422, "idempotency-key-reused", "The key was used before.")
    await at.browser.sign_in("agent-1")
    answer = await at.browser.post(FORM, await filled(at), **EN)
    assert answer.status_code == 422
    assert "The key was used before." in answer.text


async def test_what_has_gone_out_is_not_promised_back_and_partly_is_said_as_partly(at: Desk) -> None:
    delivery = {"way": "courier", "parts": [part("courier", "preparing", 1), part("wallet", "issued", 2)]}
    whole = {**redemption(GOODS, "delivering", "x", FLASKS, COFFEE, cancellable=True), "delivery": delivery, "returns": []}
    at.street.answers.set("redemption", "GET", f"/v1/redemptions/{GOODS}", whole)
    document = {"kind": "cancellation", "points": 4200, "state": "refunded", "lines": []}
    at.street.answers.set("redemption", "POST", CALL, {**whole, "state": "fulfilled", "returns": [document]})
    await at.browser.sign_in("agent-1")
    before = (await at.browser.get(FORM, **EN)).text
    assert "4,200 points go back" in before
    assert before.index("have gone out already and cannot") < before.index("Coffee voucher\u00a0×\u00a01")
    after = (await at.browser.post(FORM, await filled(at), **EN)).text
    assert "Part of it is cancelled" in after
    assert "4,200 points were given back" in after


async def test_a_cancellation_that_was_decided_too_late_ends_as_too_late(at: Desk) -> None:
    whole = at.street.answers.by_path["redemption", "GET", f"/v1/redemptions/{GOODS}"][1]
    whole |= {"state": "delivering"}
    await at.browser.sign_in("agent-1")
    assert "It is too late to cancel" in (await at.browser.get(f"{FORM}/outcome", **EN)).text


async def test_what_cannot_be_cancelled_any_more_is_said_before_a_reason_is_asked_for(at: Desk) -> None:
    whole = at.street.answers.by_path["redemption", "GET", f"/v1/redemptions/{GOODS}"][1]
    whole |= {"state": "delivering", "cancellable": False}
    await at.browser.sign_in("agent-1")
    page = (await at.browser.get(FORM, **EN)).text
    assert "It is too late to cancel" in page
    assert 'name="reason"' not in page
