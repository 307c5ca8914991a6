"""Staff look at customers: found by what a caller says, shown masked, in full for a reason, and every look on record."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.redemption.customers import use_cases
from shared.tasks import NewTask
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, execute, one, rows
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio

IDS = "SELECT id FROM customers WHERE customer_number = %s"
FEED = "customer_number,subject,name,phone,tier,language\n"
PEOPLE = (
    "C1,s1,张三丰,13988887777,gold,zh_hans\n"
    "C2,s2,张 三丰,13988887778,gold,zh_hans\n"
    "C3,s3,Ann Mary Lee,13988887779,gold,en\n"
    "C4,s4,Lee Ann Mary,13988887780,gold,en\n"
)


@pytest.fixture
async def people(suite: Suite) -> Suite:
    await suite.feed("customers", "people", FEED + PEOPLE)
    return suite


async def search(suite: Suite, headers: dict[str, str] | None = None, **by: Any) -> httpx.Response:
    return await suite.client.post("/v1/customers/search", json=by, headers=headers or suite.issuer.staff("agent"))


async def found(suite: Suite, **by: Any) -> list[str]:
    answer = await search(suite, **by)
    assert answer.status_code == 200, answer.text
    return [item["customer_number"] for item in answer.json()["items"]]


def looks(database: TestDatabase) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT action, subject, actor, reason FROM audit_entries WHERE actor LIKE 'staff:%%' ORDER BY id")


@pytest.mark.proves("A1", "X6")
async def test_a_caller_is_found_by_name_number_or_telephone_and_nobody_else_is(people: Suite) -> None:
    for by, numbers in [
        ({"name": "张三丰"}, ["C1", "C2"]),
        ({"name": " 张　三丰 "}, ["C1", "C2"]),
        ({"name": "张三"}, []),
        ({"name": "ann  mary LEE"}, ["C3"]),
        ({"name": "Ａｎｎ Mary Lee"}, ["C3"]),
        ({"name": "Lee Ann Mary"}, ["C4"]),
        ({"name": "AnnMaryLee"}, []),
        ({"customer_number": "C3"}, ["C3"]),
        ({"customer_number": "C"}, []),
        ({"phone": "139-8888-7779"}, ["C3"]),
    ]:
        assert sorted(await found(people, **by)) == numbers, by


async def test_a_search_is_by_one_thing_at_a_time(suite: Suite) -> None:
    for sent, field, code in [
        ({}, "", "exactly-one"),
        ({"phone": "13988887777", "name": "张三丰"}, "", "exactly-one"),
        ({"phone": None}, "phone", "wrong-type"),
        ({"name": "　 "}, "name", "missing"),
        ({"name": ""}, "name", "too-small"),
        ({"phone": "12345"}, "phone", "not-a-phone"),
        ({"address": "x"}, "address", "unknown"),
    ]:
        answer = await search(suite, **sent)
        assert code_of(answer) == "validation-error"
        [wrong] = answer.json()["errors"]
        assert (wrong["field"], wrong["code"]) == (field, code)
        assert "张三丰" not in answer.text and "13988887777" not in answer.text


async def test_at_most_twenty_are_shown_and_that_there_are_more_is_said(suite: Suite, ledger: TestDatabase) -> None:
    many = "".join(f"D{n:02},d{n},王伟,139000000{n:02},gold,zh_hans\n" for n in range(22))
    await suite.feed("customers", "many", FEED + many)
    answer = (await search(suite, name="王伟")).json()
    assert (len(answer["items"]), answer["more"]) == (20, True)
    assert one(ledger, "SELECT count(*) FROM audit_entries WHERE action = 'customer.looked_up'") == 20, "the ones shown"
    execute(ledger.superuser_url, "UPDATE customers SET name_lookup = NULL WHERE customer_number >= 'D20'")
    answer = (await search(suite, name="王伟")).json()
    assert (len(answer["items"]), answer["more"]) == (20, False)


@pytest.mark.proves("A1", "G46", "G48", "X6")
async def test_one_customer_is_shown_masked_and_in_full_for_a_reason_both_on_record(
    people: Suite, ledger: TestDatabase
) -> None:
    customer_id = one(ledger, IDS, "C1")
    agent = people.issuer.staff("agent", subject="staff-7")
    masked = await people.client.get(f"/v1/customers/{customer_id}", headers=agent)
    assert (masked.json()["name"], masked.json()["phone"]) == ("张**", "139****7777")
    before = one(ledger, "SELECT clock_timestamp()")
    full = await people.client.post(
        f"/v1/customers/{customer_id}/unmasking", json={"reason": " the parcel came back "}, headers=agent
    )
    assert full.json() | {"shown_until": ""} == {
        "customer_id": str(customer_id), "customer_number": "C1", "name": "张三丰", "phone": "+8613988887777", "shown_until": ""
    }  # fmt: skip
    assert full.headers["cache-control"] == "no-store"
    until = datetime.fromisoformat(full.json()["shown_until"])
    assert timedelta(seconds=60) <= until - before < timedelta(seconds=65)
    subject, actor = f"customer:{customer_id}", "staff:person-of-staff-7"
    assert looks(ledger) == [
        ("customer.looked_up", subject, actor, ""),
        ("customer.unmasked", subject, actor, "the parcel came back"),
    ]


@pytest.mark.proves("G46")
async def test_a_look_that_cannot_be_put_on_record_shows_nothing(people: Suite, ledger: TestDatabase) -> None:
    path, agent = f"/v1/customers/{one(ledger, IDS, 'C1')}", people.issuer.staff("agent")
    execute(ledger.owner_url, "REVOKE INSERT ON audit_entries FROM redemption_service")
    answers = [
        await search(people, name="张三丰"),
        await people.client.post(f"{path}/unmasking", json={"reason": "x"}, headers=agent),
        await people.client.get(path, headers=agent),
    ]
    execute(ledger.owner_url, "GRANT INSERT ON audit_entries TO redemption_service")
    for answer in answers:
        assert answer.status_code == 500
        assert "张" not in answer.text and "7777" not in answer.text


@pytest.mark.proves("G48")
async def test_nobody_sees_contact_data_in_full_without_a_reason(people: Suite, ledger: TestDatabase) -> None:
    path, agent = f"/v1/customers/{one(ledger, IDS, 'C1')}/unmasking", people.issuer.staff("agent")
    for body in ({"reason": None}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {}):
        assert code_of(await people.client.post(path, json=body, headers=agent)) == "validation-error"
    assert looks(ledger) == []


@pytest.mark.proves("G40", "X2")
async def test_who_has_no_need_to_know_is_refused_and_who_is_not_there_is_not_found(
    people: Suite, ledger: TestDatabase
) -> None:
    customer_id, issuer = one(ledger, IDS, "C1"), people.issuer
    for headers in (issuer.customer("s1"), issuer.staff("campaign_manager"), issuer.staff("auditor"), issuer.service()):
        refused = await people.client.post(
            f"/v1/customers/{customer_id}/unmasking", json={"reason": "curious"}, headers=headers
        )
        assert code_of(refused) == "insufficient-scope"
    nobody = f"/v1/customers/{uuid.uuid4()}"
    agent = issuer.staff("agent")
    assert code_of(await people.client.get(nobody, headers=agent)) == "not-found"
    assert code_of(await people.client.post(f"{nobody}/unmasking", json={"reason": "x"}, headers=agent)) == "not-found"
    assert code_of(await people.client.get(f"{nobody}/redemptions", headers=agent)) == "not-found"
    assert looks(ledger) == []


@pytest.mark.proves("A1")
async def test_staff_see_a_customers_redemptions_page_by_page_as_the_customer_does(suite: Suite) -> None:
    subject, other = await suite.add_customers(10_000, 10_000)
    for who in (subject, subject, other, subject):
        assert (await suite.redeem(who)).status_code == 201
    customer_id = (await suite.me(subject))["customer_id"]
    path, agent = f"/v1/customers/{customer_id}/redemptions", suite.issuer.staff("agent")
    own = (await suite.client.get("/v1/redemptions", headers=suite.issuer.customer(subject))).json()
    assert (await suite.client.get(path, headers=agent)).json() == own
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await suite.client.get(path, headers=agent, params=query)).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == own["items"] and len(seen) == 3
    first = (await suite.client.get(path, headers=agent, params={"limit": 1})).json()["next"]
    others = f"/v1/customers/{(await suite.me(other))['customer_id']}/redemptions"
    assert code_of(await suite.client.get(others, headers=agent, params={"cursor": first})) == "validation-error"


@pytest.mark.proves("A1")
async def test_customers_from_before_the_search_by_name_become_findable_step_by_step(
    people: Suite, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "NAMED_AT_ONCE_MAX", 1)
    execute(ledger.superuser_url, "UPDATE customers SET name_lookup = NULL")
    [first] = rows(ledger, "SELECT id, customer_number FROM customers ORDER BY id LIMIT 1")
    execute(ledger.superuser_url, "UPDATE customers SET data_key = %s WHERE id = %s", b"destroyed", first[0])
    assert await found(people, name="Ann Mary Lee") == []
    parts = people.redemption.state.parts
    async with parts.database.transaction() as conn:
        await parts.tasks.add(conn, [NewTask(kind="index_names", run_at=await parts.clock.now(conn))])
    await people.drain()
    assert one(ledger, "SELECT count(*) FROM tasks WHERE kind = 'index_names' AND state = 'done'") == 5, (
        "one a customer, one end"
    )
    unnamed = rows(ledger, "SELECT customer_number FROM customers WHERE name_lookup IS NULL")
    assert unnamed == [(first[1],)], "whoever cannot be read stands in nobody's way"
    if first[1] != "C3":
        assert await found(people, name="Ann Mary Lee") == ["C3"]


async def test_a_changed_name_is_found_under_the_new_one_alone(people: Suite) -> None:
    await people.feed("customers", "renamed", f"{FEED}C3,s3,Ann Mary Smith,13988887779,gold,en\n")
    assert await found(people, name="Ann Mary Lee") == []
    assert await found(people, name="ann mary smith") == ["C3"]
