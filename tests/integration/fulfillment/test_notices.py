"""What customers are told of their parcels: with the change that it tells, in their language, once, and never a code (F7)."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.branches import read_branches
from samples.branches import FILE as BRANCHES
from services.fulfillment.notices.domain import NoticeKind, NoticeWish
from services.fulfillment.notices.requesting import request_notices
from services.fulfillment.parcels.waiting import PICKUP_EXPIRY, PICKUP_REMINDERS
from services.fulfillment.parts import Parts
from shared import failpoints
from shared.languages import LANGUAGES
from tests.support.fulfillment import CUSTOMER, customer_id_of
from tests.support.postgres import TestDatabase
from tests.support.road import Road, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
ROWS = "SELECT kind, state, language, attempts, failure FROM notices ORDER BY requested_at, id"
TASKS = "SELECT state, failures, last_error, extract(epoch FROM run_at - now()) FROM tasks WHERE kind = 'notify'"


@pytest.fixture
async def road(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Road]:
    async with running_road(fulfillment_database, issuer) as running:
        yield running


async def listed(road: Road, customer: str = CUSTOMER, **query: Any) -> dict[str, Any]:
    answer = await road.depot.fulfillment.get(
        f"/v1/customers/{customer_id_of(customer)}/notices", road.depot.fulfillment.issuer.staff("agent"), **query
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ask(road: Road, *wishes: NoticeWish) -> None:
    parts: Parts = road.depot.hands
    async with parts.database.transaction() as conn:
        await request_notices(conn, await parts.clock.now(conn), wishes)


@pytest.mark.proves("F7")
@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_step_is_told_in_the_customers_language_and_staff_see_what_was_told(road: Road, language: str) -> None:
    [number] = await road.send(language=language)
    await road.courier.happen(number, "delivery_failed", "delivery_failed", "delivered")
    await road.courier.tell()
    await road.worker.drain()
    told = await road.notifications.see("messages", to="+442079460001")
    assert sorted(message["kind"] for message in told) == [
        "delivery_failed", "delivery_failed", "parcel_delivered", "parcel_dispatched",
    ]  # fmt: skip
    tag = {"zh_hans": "zh-Hans", "zh_hant": "zh-Hant", "en": "en"}[language]
    assert {message["language"] for message in told} == {tag}
    assert road.depot.rows(ROWS) == [(row[0], "sent", language, 1, None) for row in road.depot.rows(ROWS)]
    seen = {item["id"]: item for item in (await listed(road))["items"]}
    for message in told:
        assert seen[message["id"]]["text"][language] == message["text"]
        assert (seen[message["id"]]["kind"], seen[message["id"]]["state"]) == (message["kind"], "sent")


@pytest.mark.proves("F7")
@pytest.mark.parametrize("language", LANGUAGES)
async def test_whoever_waits_for_a_parcel_that_was_lost_is_told_that_the_points_come_back(road: Road, language: str) -> None:
    [number] = await road.send(language=language)
    await road.courier.happen(number, "lost")
    await road.courier.tell()
    await road.worker.drain()
    [text] = [one["text"] for one in await road.notifications.see("messages") if one["kind"] == "parcel_lost"]
    words = {"zh_hans": ("遗失", "积分将退还"), "zh_hant": ("遺失", "積分將退還"), "en": ("lost", "points will be returned")}
    assert all(word in text for word in words[language])


@pytest.mark.proves("F7")
@pytest.mark.parametrize(("mode", "attempts"), [("fail", 2), ("lose_answer", 2), ("answer_twice", 1), ("slow", 1)])
async def test_whatever_the_gateway_does_a_notice_is_sent_once_and_its_attempts_are_on_record(
    road: Road, mode: str, attempts: int
) -> None:
    await road.accept()
    await road.notifications.fault(mode=mode, times=1, seconds=0.05)
    road.hurry("dispatch")
    await road.worker.drain()
    road.hurry("notify")
    await road.worker.drain()
    [message] = await road.notifications.see("messages")
    assert [(row[1], row[3]) for row in road.depot.rows(ROWS)] == [("sent", attempts)]
    assert road.depot.rows("SELECT id::text, reference FROM notices") == [(message["id"], message["reference"])]
    assert [row[0] for row in road.depot.rows(TASKS)] == ["done"]


@pytest.mark.proves("F7")
async def test_while_the_gateway_is_away_notices_wait_and_nothing_else_does(road: Road) -> None:
    await road.notifications.fault(mode="fail")
    [number] = await road.send()
    for _ in range(12):
        road.hurry("notify")
        await road.once("notices")
    [(state, failures, error, seconds)] = road.depot.rows(TASKS)
    assert (state, error) in (("ready", "OutcomeUnknown"), ("ready", "NotSent"))
    assert failures >= 12
    assert seconds <= 60
    assert [(row[1], row[4]) for row in road.depot.rows(ROWS)] in ([("pending", "OutcomeUnknown")], [("pending", "NotSent")])
    assert (await listed(road))["items"][0]["failure"] is not None
    assert (await road.parcel(number))["state"] == "dispatched"
    await road.notifications.fault(mode="none")
    await _patiently(road)
    assert [row[1] for row in road.depot.rows(ROWS)] == ["sent"]
    assert len(await road.notifications.see("messages")) == 1


async def _patiently(road: Road) -> None:
    """The circuit to a gateway that failed lets one call through after two seconds."""
    breaker = road.depot.hands.notices._gateway._client._breaker  # type: ignore[attr-defined]
    breaker._next_try_at = 0.0
    road.hurry("notify")
    await road.worker.drain()


@pytest.mark.proves("F7")
async def test_what_the_gateway_never_will_take_is_failed_with_its_reason_and_not_tried_again(road: Road) -> None:
    await _with_an_unusable_number(road)
    assert road.depot.rows(ROWS) == [("parcel_dispatched", "failed", None, 1, "422 number-unusable")]
    assert [row[0] for row in road.depot.rows(TASKS)] == ["done"]
    [item] = (await listed(road))["items"]
    assert (item["state"], item["failure"], item["language"]) == ("failed", "422 number-unusable", None)


async def _with_an_unusable_number(road: Road) -> None:
    """The carrier takes a number that the gateway does not: the contact is changed in between."""
    [parcel] = await road.accept()
    parts = road.depot.hands
    road.hurry("dispatch")
    await road.once("dispatch")
    contacts = parts.notices._contacts._safe  # type: ignore[attr-defined]
    [(sealed,)] = road.depot.rows("SELECT contact_sealed FROM parcels")
    contact = contacts.open_contact(uuid.UUID(parcel), sealed)
    other = type(contact)(contact.name, "no number at all", contact.language)
    road.change("UPDATE parcels SET contact_sealed = %s", contacts.seal_contact(uuid.UUID(parcel), other))
    await road.worker.drain()


async def test_whoever_cannot_be_found_any_more_is_not_told(road: Road) -> None:
    await road.accept()
    road.hurry("dispatch")
    await road.once("dispatch")
    road.change("UPDATE parcels SET contact_sealed = '\\x00'")
    await road.worker.drain()
    assert road.depot.rows(ROWS) == [("parcel_dispatched", "failed", None, 1, "nobody-to-tell")]
    assert await road.notifications.see("messages") == []


@pytest.mark.proves("F7", "G33")
async def test_a_worker_that_dies_after_the_gateway_took_a_notice_tells_nobody_twice(road: Road) -> None:
    await road.accept()
    road.hurry("dispatch")
    await road.once("dispatch")
    failpoints.arm(notify__after_calls="raise")
    try:
        await road.once("notices")
    finally:
        failpoints.arm()
    assert [row[1] for row in road.depot.rows(ROWS)] == ["pending"]
    road.hurry("notify")
    await road.worker.drain()
    assert [row[1] for row in road.depot.rows(ROWS)] == ["sent"]
    assert len(await road.notifications.see("messages")) == 1


@pytest.mark.proves("F7")
async def test_what_is_asked_for_twice_is_one_notice_and_facts_that_no_notice_knows_are_left_out(road: Road) -> None:
    [parcel] = await road.accept()
    wish = NoticeWish(
        uuid.UUID(parcel),
        uuid.UUID(customer_id_of(CUSTOMER)),
        NoticeKind.PICKUP_REMINDER,
        {"code": "4711-0815", "branch_names": {"en": "Somewhere"}, "ready_until": date(2026, 12, 6)},
    )
    await ask(road, wish, wish)
    await ask(road, wish)
    [(facts,)] = road.depot.rows("SELECT facts FROM notices")
    assert facts == {"branch_names": {"en": "Somewhere"}, "ready_until": "2026-12-06"}
    await road.worker.drain()
    await ask(road, wish)
    await road.worker.drain()
    assert len(await road.notifications.see("messages")) == 1


@pytest.mark.proves("F2", "F7", "G49")
async def test_a_pickup_is_told_of_with_time_and_place_and_no_code_or_contact_stands_in_a_notice_or_its_task(
    road: Road, issuer: Issuer
) -> None:
    branches = {"items": read_branches(BRANCHES.read_bytes())}
    written = await road.depot.fulfillment.client.put(
        "/v1/branches", json=branches, headers=issuer.service("bank-feeds", "feeds:write")
    )
    assert written.json() == {"taken": 12}
    code = await road.depot.code(await road.depot.ready())
    [(last_day,)] = road.depot.rows("SELECT ready_until FROM parcels")
    for days, kind in ((12, PICKUP_REMINDERS), (20, PICKUP_EXPIRY)):
        road.change("UPDATE parcels SET ready_until = %s", last_day - timedelta(days=days))
        road.change("INSERT INTO tasks (id, kind, run_at) VALUES (gen_random_uuid(), %s, now())", kind)
        await road.worker.drain()
    messages = {message["kind"]: message["text"] for message in await road.notifications.see("messages")}
    assert messages.keys() == {"pickup_ready", "pickup_reminder", "pickup_expired"}
    assert f"by the end of {last_day.day} {last_day:%B} {last_day.year}" in messages["pickup_ready"]
    for words in ("Lujiazui Branch", "9001 Century Avenue", "Every day 9:00–18:00"):
        assert words in messages["pickup_ready"]
    rows = [row for table in ("notices", "tasks") for row in road.depot.rows(f"SELECT row_to_json(x)::text FROM {table} x")]
    everything = json.dumps([*messages.values(), *rows], ensure_ascii=False)
    plain = "".join(symbol for symbol in code if symbol.isalnum())
    for form in {code, plain, f"{plain[:4]} {plain[4:]}", f"{plain[:4]}-{plain[4:]}"}:
        assert form not in everything
    assert "李四" not in everything
    assert "13900005678" not in everything


async def test_staff_read_notices_page_by_page_newest_first(road: Road) -> None:
    numbers = await road.send(3)
    for number in numbers:
        await road.courier.happen(number, "delivered")
    await road.courier.tell()
    whole = (await listed(road, limit=100))["items"]
    assert len(whole) == 6
    assert [item["requested_at"] for item in whole] == sorted((item["requested_at"] for item in whole), reverse=True)
    paged, cursor = [], None
    while True:
        page = await listed(road, limit=2, **({"cursor": cursor} if cursor else {}))
        paged += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole
    assert (await listed(road, "customer-nobody"))["items"] == []


async def test_customers_and_services_do_not_read_them(road: Road, issuer: Issuer) -> None:
    path = f"/v1/customers/{customer_id_of(CUSTOMER)}/notices"
    for headers in (issuer.customer(CUSTOMER), issuer.service(), issuer.till("M001", "T01"), issuer.staff("reviewer")):
        answer: httpx.Response = await road.depot.fulfillment.get(path, headers)
        assert answer.status_code == 403
