"""The branch counter, the parked tasks, the breaks, and the page that says what waits."""

import json

import pytest

from tests.support.console import Desk
from tests.support.console_answers import READY, TASK

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}
HANDOVER = f"/pickups/{READY}/handover"
CALL = f"/v1/parcels/{READY}/handover"
LOSS, LOST = f"/pickups/{READY}/loss", f"/v1/parcels/{READY}/loss"
SHORT = READY[-8:].upper()


@pytest.mark.proves("A3", "F2")
async def test_the_counter_shows_what_arrives_waits_and_was_handed_over_at_the_own_branch(at: Desk) -> None:
    await at.browser.sign_in("branch-1")
    for state, said in [("in_transfer", "Confirm arrival"), ("ready", "Hand over"), ("collected", "Handed over")]:
        page = (await at.browser.get(f"/pickups?state={state}", **EN)).text
        assert SHORT in page
        assert said in page
        assert "王**" in page
    assert {request.url.path for request in at.street.asked("GET", "/v1/branches/B001/pickups")} == {
        "/v1/branches/B001/pickups"
    }
    assert "6 Dec 2026" in (await at.browser.get("/pickups", **EN)).text


async def test_an_arrival_is_confirmed_and_a_reload_sends_nothing_again(at: Desk) -> None:
    await at.browser.sign_in("branch-1")
    answer = await at.browser.post(f"/pickups/{READY}/arrival", **EN)
    assert answer.status_code == 303
    assert len(at.street.asked("PUT", f"/v1/parcels/{READY}/arrival")) == 1
    page = await at.browser.get(answer.headers["location"], **EN)
    assert f"Parcel {SHORT} is confirmed as arrived" in page.text


@pytest.mark.parametrize("typed", ["12345678", " 1234 5678 ", "1234-5678", "12345678\r\n"])
async def test_a_typed_or_scanned_code_hands_the_parcel_over(at: Desk, typed: str) -> None:
    await at.browser.sign_in("branch-1")
    form = (await at.browser.get(HANDOVER, **EN)).text
    assert "autofocus" in form  # a scanner types at once
    answer = await at.browser.post(HANDOVER, {"code": typed}, **EN)
    assert "Hand it over now" in answer.text
    [call] = at.street.asked("PUT", CALL)
    assert json.loads(call.content) == {"code": "12345678"}


async def test_a_wrong_code_keeps_the_parcel_here(at: Desk) -> None:
    at.street.answers.refuse("fulfillment", "PUT", CALL, 409, "pickup-code-wrong", "Wrong.")
    await at.browser.sign_in("branch-1")
    answer = await at.browser.post(HANDOVER, {"code": "00000000"}, **EN)
    assert answer.status_code == 409
    assert "The code is wrong. Keep the parcel" in answer.text
    assert "00000000" not in answer.text
    assert "autofocus" in answer.text


async def test_too_many_wrong_codes_are_told_how_long_to_wait(at: Desk) -> None:
    at.street.answers.refuse("fulfillment", "PUT", CALL, 429, "too-many-attempts", "Wait.", **{"Retry-After": "417"})
    await at.browser.sign_in("branch-1")
    answer = await at.browser.post(HANDOVER, {"code": "00000000"}, **EN)
    assert answer.status_code == 429
    assert "Wait 417 seconds" in answer.text


@pytest.mark.parametrize(("fault", "said"), [("down", "Nothing was changed"), ("mute", "not known whether it was done")])
async def test_when_fulfillment_is_silent_nobody_is_told_to_hand_anything_over(at: Desk, fault: str, said: str) -> None:
    await at.browser.sign_in("branch-1")
    getattr(at.street, fault).add("fulfillment")
    answer = await at.browser.post(HANDOVER, {"code": "12345678"}, **EN)
    assert answer.status_code == 503
    assert said in answer.text
    assert "Hand it over now" not in answer.text
    page = await at.browser.get("/pickups?state=ready", **EN)
    assert 'hx-trigger="every 3s"' in page.text


@pytest.mark.proves("A3", "F2")
@pytest.mark.parametrize("state", ["in_transfer", "ready"])
async def test_a_parcel_that_is_not_to_be_found_is_reported_as_lost_with_a_reason(at: Desk, state: str) -> None:
    await at.browser.sign_in("branch-1")
    assert f'{LOSS}"' in (await at.browser.get(f"/pickups?state={state}", **EN)).text
    form = (await at.browser.get(LOSS, **EN)).text
    assert "gets the points back" in form
    missing = await at.browser.post(LOSS, {"reason": "  "}, **EN)
    assert (missing.status_code, "Please give a reason." in missing.text) == (422, True)
    assert at.street.asked("PUT", LOST) == []
    answer = await at.browser.post(LOSS, {"reason": " looked in both rooms "}, **EN)
    assert f"Parcel {SHORT} is on record as lost" in answer.text
    [call] = at.street.asked("PUT", LOST)
    assert json.loads(call.content) == {"reason": "looked in both rooms"}


async def test_what_was_handed_over_meanwhile_is_not_lost_and_the_reason_stays_in_the_form(at: Desk) -> None:
    at.street.answers.refuse("fulfillment", "PUT", LOST, 409, "parcel-not-here", "It was handed over.")
    await at.browser.sign_in("branch-1")
    answer = await at.browser.post(LOSS, {"reason": "looked in both rooms"}, **EN)
    assert answer.status_code == 409
    assert "It was handed over." in answer.text and 'value="looked in both rooms"' in answer.text
    at.street.down.add("fulfillment")
    answer = await at.browser.post(LOSS, {"reason": "looked in both rooms"}, **EN)
    assert (answer.status_code, "Nothing was changed" in answer.text) == (503, True)


def redrive(by: str) -> dict[str, object]:
    return {
        "id": TASK, "reason": "gateway mended", "asked_by": by, "asked_at": "2026-11-22T01:00:00+00:00",
        "expires_at": "2026-11-23T01:00:00+00:00",
    }  # fmt: skip


def park(at: Desk, by: str | None) -> None:
    status, body, headers = at.street.answers.by_path["fulfillment", "GET", "/internal/v1/tasks"]
    task = {**body["parked"][0], "redrive": redrive(by) if by else None}
    at.street.answers.by_path["fulfillment", "GET", "/internal/v1/tasks"] = (status, {**body, "parked": [task]}, headers)


@pytest.mark.proves("A3", "G41")
async def test_one_asks_for_a_redrive_and_another_approves(at: Desk) -> None:
    await at.browser.sign_in("supervisor-1")
    page = (await at.browser.get("/tasks", **EN)).text
    assert "the gateway answered 503" in page
    answer = await at.browser.post(f"/tasks/fulfillment/{TASK}/redrive", {"reason": "gateway mended"}, **EN)
    assert "waits for a second person" in (await at.browser.get(answer.headers["location"], **EN)).text
    [asked] = at.street.asked("POST", f"/internal/v1/tasks/{TASK}/redrive")
    assert json.loads(asked.content) == {"reason": "gateway mended"}
    park(at, "supervisor-1")
    own = (await at.browser.get("/tasks", **EN)).text
    assert "it waits for another person" in own
    assert "Approve the redrive" not in own
    await at.browser.sign_in("supervisor-2")
    other = (await at.browser.get("/tasks", **EN)).text
    assert "gateway mended" in other
    assert "Approve the redrive" in other
    answer = await at.browser.post(f"/tasks/fulfillment/{TASK}/redrive/approval")
    assert "is being run again" in (await at.browser.get(answer.headers["location"], **EN)).text


@pytest.mark.proves("G41")
async def test_approving_ones_own_request_is_refused_in_words(at: Desk) -> None:
    path = f"/internal/v1/tasks/{TASK}/redrive/approval"
    at.street.answers.refuse("fulfillment", "POST", path, 403, "self-approval-forbidden", "Not yourself.")
    await at.browser.sign_in("supervisor-1")
    answer = await at.browser.post(f"/tasks/fulfillment/{TASK}/redrive/approval", **EN)
    assert answer.status_code == 403
    assert "Nobody approves their own request" in answer.text


async def test_a_redrive_takes_a_reason_and_a_service_of_ours(at: Desk) -> None:
    await at.browser.sign_in("administrator-1")
    answer = await at.browser.post(f"/tasks/fulfillment/{TASK}/redrive", {"reason": ""}, **EN)
    assert answer.status_code == 422
    assert "Please give a reason" in answer.text
    assert (await at.browser.post(f"/tasks/elsewhere/{TASK}/redrive", {"reason": "x"})).status_code == 404
    at.street.answers.refuse(
        "fulfillment", "POST", f"/internal/v1/tasks/{TASK}/redrive", 409, "approval-pending", "One is asked."
    )
    answer = await at.browser.post(f"/tasks/fulfillment/{TASK}/redrive", {"reason": "x"}, **EN)
    assert (answer.status_code, "One is asked." in answer.text) == (409, True)


async def test_a_service_that_is_down_hides_no_task_of_the_others(at: Desk) -> None:
    at.street.down.add("redemption")
    await at.browser.sign_in("supervisor-1")
    page = (await at.browser.get("/tasks", **EN)).text
    assert "the gateway answered 503" in page
    assert "the redemption system does not answer" in page


@pytest.mark.proves("A3", "P4")
async def test_breaks_are_shown_with_age_and_owner(at: Desk) -> None:
    await at.browser.sign_in("auditor-1")
    page = (await at.browser.get("/breaks", **EN)).text
    for said in (
        "balance-differs",
        "1 day",
        "ledger",
        "account:7",
        "posted 5, lots 4",
        "Last complete comparison: 20 Nov 2026, 10:30",
    ):
        assert said in page, said
    nothing = {"items": [], "next": None, "last_good_run_at": "2026-11-20T02:30:00+00:00"}
    at.street.answers.set("redemption", "GET", "/internal/v1/breaks", nothing)
    assert "Everything agrees" in (await at.browser.get("/breaks", **EN)).text
    at.street.answers.set("redemption", "GET", "/internal/v1/breaks", {**nothing, "last_good_run_at": None})
    assert "Everything agrees" not in (await at.browser.get("/breaks", **EN)).text  # nobody has compared yet


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("agent-1", ["A caller on the line?"]),
        ("branch-1", ["1</b> <span>parcel is on its way", "1</b> <span>parcel is ready"]),
        ("supervisor-1", ["1</b> <span>parked task", "0</b> <span>requests wait", "1</b> <span>open break"]),
        ("auditor-1", ["1</b> <span>open break"]),
        ("reviewer-1", ["There is nothing in this release for your role"]),
    ],
)
async def test_home_says_what_waits_for_the_role(at: Desk, who: str, said: list[str]) -> None:
    page = (await at.browser.sign_in(who)).text
    await at.browser.console.get("/language/en")
    page = (await at.browser.get("/")).text
    for each in said:
        assert each in page, each


async def test_home_counts_the_requests_of_others_alone_as_mine_to_approve(at: Desk) -> None:
    park(at, "supervisor-1")
    for who, count in (("supervisor-1", 0), ("supervisor-2", 1)):
        await at.browser.sign_in(who)
        assert f"{count}</b> <span>件重试申请等您批准" in (await at.browser.get("/")).text
