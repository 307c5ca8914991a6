"""Accepting fulfillments by the bulk call: once, whole, with vouchers in the same commit."""

import asyncio
import base64
import copy
import hashlib
import json
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from services.fulfillment.fulfillments.schemas import WishBody
from shared import failpoints
from tests.support.fulfillment import ACTOR, Fulfillment, branch, by_courier, goods, line, running_fulfillment, to_branch, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import ISSUER

pytestmark = pytest.mark.anyio


def rows(database: TestDatabase, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query, values).fetchall()


@pytest.mark.proves("F3", "R1")
async def test_a_voucher_a_unit_is_issued_with_the_acceptance(fulfillment: Fulfillment) -> None:
    asked = wish(line(1, 2), line(4, 1, face_value_minor=700))
    [outcome] = await fulfillment.accept(asked)
    [part] = outcome.pop("parts")
    assert outcome == {"id": asked["id"], "outcome": "accepted", "state": "issued", "version": 1}
    assert (part["way"], part["state"], part["lines"]) == ("wallet", "issued", [1, 4])
    found = await fulfillment.wallet()
    assert sorted((v["line"], v["unit"], v["face_value"]["amount_minor"]) for v in found) == [
        (1, 1, 5000),
        (1, 2, 5000),
        (4, 1, 700),
    ]
    assert {v["fulfillment_id"] for v in found} == {asked["id"]}
    assert len(set((await fulfillment.codes()).values())) == 3


@pytest.mark.proves("G10", "X3")
async def test_sending_again_issues_nothing_and_is_answered_alike(fulfillment: Fulfillment) -> None:
    asked = wish(line(1, 2))
    first = await fulfillment.accept(asked)
    assert await fulfillment.accept(asked) == first
    assert await fulfillment.accept(asked, asked) == first * 2
    assert len(await fulfillment.wallet()) == 2


@pytest.mark.proves("G10", "X3")
async def test_the_same_redemption_many_times_at_once_is_accepted_once(fulfillment: Fulfillment) -> None:
    asked = wish()
    outcomes = await asyncio.gather(*(fulfillment.accept(asked) for _ in range(20)))
    assert {outcome["outcome"] for [outcome] in outcomes} == {"accepted"}
    assert len(await fulfillment.wallet()) == 1


@pytest.mark.proves("G10")
@pytest.mark.parametrize("at_once", [False, True])
async def test_another_body_under_a_known_id_is_a_mismatch_and_changes_nothing(fulfillment: Fulfillment, at_once: bool) -> None:
    asked = wish(line(1, 1))
    other = copy.deepcopy(asked)
    other["lines"][0]["quantity"] = 5
    outcomes = await (fulfillment.accept(asked, other) if at_once else _one_by_one(fulfillment, asked, other))
    said = [outcome["outcome"] for outcome in outcomes]
    # Two at once race for the id, and either may win; one after the other the first does.
    assert sorted(said) == ["accepted", "mismatch"] if at_once else said == ["accepted", "mismatch"]
    assert len(await fulfillment.wallet()) == (1 if said[0] == "accepted" else 5)


async def _one_by_one(fulfillment: Fulfillment, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
    return [(await fulfillment.accept(one))[0] for one in wishes]


@pytest.mark.proves("G10")
async def test_a_fulfillment_that_was_cancelled_before_it_came_issues_nothing(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    asked = wish()
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        conn.execute(
            "INSERT INTO fulfillments (id, state, version, changed_at) VALUES (%s, 'cancelled', 1, now())", [asked["id"]]
        )
    assert (await fulfillment.accept(asked))[0]["outcome"] == "cancelled"
    assert await fulfillment.wallet() == []


@pytest.mark.proves("X3", "G46")
async def test_a_crash_before_the_commit_leaves_nothing_and_after_it_everything(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    for point, kept in (("accept__before_commit", 0), ("accept__after_commit", 1)):
        asked = wish()
        failpoints.arm(**{point: "raise"})
        body = {"actor": ACTOR, "items": [asked]}
        answer = await fulfillment.client.put("/internal/v1/fulfillments", json=body, headers=fulfillment.issuer.service())
        failpoints.arm()
        assert answer.status_code == 500
        counted = (
            "SELECT (SELECT count(*) FROM vouchers WHERE fulfillment_id = %s), count(*) FROM audit_entries WHERE subject = %s"
        )
        assert rows(fulfillment_database, counted, asked["id"], f"fulfillment:{asked['id']}") == [(kept, kept)]
        assert (await fulfillment.accept(asked))[0]["outcome"] == "accepted"
        assert rows(fulfillment_database, counted, asked["id"], f"fulfillment:{asked['id']}") == [(1, 1)]


@pytest.mark.proves("G46", "X5")
async def test_every_issued_voucher_has_an_audit_row_that_names_who_and_for_whom(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    await fulfillment.accept(wish(line(1, 3)), wish())
    query = """
        SELECT v.id, a.action, a.actor, a.on_behalf_of, a.channel, a.reason FROM vouchers v
          LEFT JOIN audit_entries a ON a.subject = 'voucher:' || v.id
    """
    found = rows(fulfillment_database, query)
    assert len(found) == 4
    who = ("voucher.issued", "service:redemption", "customer:customer-00001", "mobile-app", "a test")
    assert {entry[1:] for entry in found} == {who}


@pytest.mark.proves("G46")
async def test_without_its_audit_row_nothing_is_issued(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        conn.execute("REVOKE INSERT ON audit_entries FROM fulfillment_service")
    body = {"actor": ACTOR, "items": [wish()]}
    answer = await fulfillment.client.put("/internal/v1/fulfillments", json=body, headers=fulfillment.issuer.service())
    assert answer.status_code == 500
    assert rows(fulfillment_database, "SELECT count(*) FROM vouchers") == [(0,)]


@pytest.mark.proves("G42", "X4")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"surprise": 1}, "items[0].surprise"),
        ({"lines": []}, "items[0].lines"),
        ({"lines": [line(0)]}, "items[0].lines[0].number"),
        ({"lines": [line(1, 0)]}, "items[0].lines[0].quantity"),
        ({"lines": [line(1, 101)]}, "items[0].lines[0].quantity"),
        ({"lines": [line(1), line(1)]}, "items[0]"),
        ({"lines": [{**line(1), "kind": "paper_voucher"}]}, "items[0].lines[0].kind"),
        ({"lines": [{**line(1), "kind": "goods"}], "delivery": by_courier()}, "items[0].lines[0].voucher"),
        ({"lines": [{**line(1), "voucher": None}]}, "items[0].lines[0].voucher"),
        ({"lines": [goods(1)]}, "items[0].delivery"),
        ({"lines": [line(1)], "delivery": by_courier()}, "items[0].delivery"),
        ({"lines": [goods(1)], "delivery": {**by_courier(), "way": "balloon"}}, "items[0].delivery.way"),
        ({"lines": [goods(1)], "delivery": {**by_courier(), "address": None}}, "items[0].delivery.address"),
        ({"lines": [goods(1)], "delivery": {**by_courier(), "branch": "B001"}}, "items[0].delivery.branch"),
        ({"lines": [goods(1)], "delivery": {**to_branch(), "branch": None}}, "items[0].delivery.branch"),
        ({"lines": [goods(1)], "delivery": {**by_courier(), "way": "pickup", "branch": "B001"}}, "items[0].delivery.address"),
        ({"lines": [goods(1)], "delivery": by_courier(street="")}, "items[0].delivery.address.street"),
        ({"lines": [line(1, merchants=())]}, "items[0].lines[0].voucher.merchants"),
        ({"lines": [line(1, valid_days=0)]}, "items[0].lines[0].voucher.valid_days"),
        ({"lines": [line(1, currency="cny")]}, "items[0].lines[0].voucher.currency"),
        ({"owner": {"issuer": ISSUER}}, "items[0].owner.subject"),
    ],
)
async def test_a_wrong_item_is_refused_by_field(fulfillment: Fulfillment, change: dict[str, Any], field: str) -> None:
    body = {"actor": ACTOR, "items": [{**wish(), **change}]}
    answer = await fulfillment.client.put("/internal/v1/fulfillments", json=body, headers=fulfillment.issuer.service())
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.proves("G40")
async def test_only_services_may_ask(fulfillment: Fulfillment) -> None:
    body = {"actor": ACTOR, "items": [wish()]}
    issuer = fulfillment.issuer
    for headers in (issuer.customer(), issuer.staff("administrator"), issuer.till(), issuer.service(scope="reconcile:read")):
        answer = await fulfillment.client.put("/internal/v1/fulfillments", json=body, headers=headers)
        assert answer.status_code == 403
    assert (await fulfillment.client.put("/internal/v1/fulfillments", json=body)).status_code == 401


@pytest.mark.proves("P4")
async def test_fulfillments_are_listed_by_id_with_the_numbers_of_their_lines(fulfillment: Fulfillment) -> None:
    asked = sorted((wish(line(1, n), line(2)) for n in (1, 2, 3)), key=lambda one: one["id"])
    await fulfillment.accept(*asked)
    headers = fulfillment.issuer.service("operations", scope="reconcile:read")
    first = (await fulfillment.get("/internal/v1/fulfillments", headers, limit=2)).json()
    rest = (await fulfillment.get("/internal/v1/fulfillments", headers, limit=2, after=first["next"])).json()
    found = first["items"] + rest["items"]
    assert [one["id"] for one in found] == [one["id"] for one in asked]
    assert (len(first["items"]), rest["next"]) == (2, None)
    for one, wanted in zip(found, asked, strict=True):
        assert one["state"] == "issued"
        assert [(x["number"], x["quantity"], x["vouchers"]) for x in one["lines"]] == [
            (x["number"], x["quantity"], x["quantity"]) for x in wanted["lines"]
        ]


async def test_a_bulk_call_of_the_largest_size_is_taken_whole(fulfillment: Fulfillment) -> None:
    terms = dict.fromkeys(("zh_hans", "zh_hant", "en"), "条" * 900)
    wishes = [wish(line(1, 2, terms=terms), subject=f"customer-{n:05d}") for n in range(64)]
    outcomes = await fulfillment.accept(*wishes)
    assert [(o["id"], o["outcome"]) for o in outcomes] == [(w["id"], "accepted") for w in wishes]


async def test_a_thousand_vouchers_in_one_fulfillment_are_issued(fulfillment: Fulfillment) -> None:
    asked = wish(*(line(number, 100) for number in range(1, 11)))
    assert (await fulfillment.accept(asked))[0]["outcome"] == "accepted"
    listed = await fulfillment.get("/internal/v1/fulfillments", fulfillment.issuer.service())
    assert sum(x["vouchers"] for x in listed.json()["items"][0]["lines"]) == 1_000


async def test_vouchers_alone_are_accepted_with_seven_statements_and_known_by_what_was_sent(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    """What parcels need is asked for where there are parcels: the way of vouchers stays as short as it was."""
    asked = wish(line(1, 3), line(2))
    order = ("face_value_minor", "currency", "valid_days", "merchants", "terms")
    voucher = {name: asked["lines"][0]["voucher"][name] for name in order}
    asked["lines"] = [{**one, "voucher": voucher} for one in asked["lines"]]
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(" ".join(statement.split()[:3]))

    engine = fulfillment.parts.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await fulfillment.accept(asked)
    event.remove(engine, "before_cursor_execute", note)
    assert statements == [
        "SELECT clock_timestamp()",
        "INSERT INTO fulfillments",
        "INSERT INTO fulfillment_lines",
        "INSERT INTO audit_entries",
        "INSERT INTO voucher_promises",
        "INSERT INTO vouchers",
        "INSERT INTO audit_entries",
    ]
    sent = json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode()
    [(fingerprint,)] = rows(fulfillment_database, "SELECT fingerprint FROM fulfillments")
    assert fingerprint == hashlib.sha256(sent).digest(), "as it was before there were goods"


@pytest.mark.proves("G49")
@pytest.mark.parametrize("delivery", [by_courier(), to_branch()], ids=["courier", "pickup"])
async def test_what_is_kept_of_a_name_and_an_address_cannot_be_guessed_without_a_key(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase, delivery: dict[str, Any]
) -> None:
    await fulfillment.write_branches(branch("B001"))
    asked = wish(goods(), line(2), delivery=delivery)
    for _ in range(2):
        assert (await fulfillment.accept(asked))[0]["outcome"] == "accepted"
    sent = WishBody.model_validate(asked).model_dump_json(exclude_unset=True).encode()
    [(kept,)] = rows(fulfillment_database, "SELECT fingerprint FROM fulfillments")
    assert kept != hashlib.sha256(sent).digest(), "whoever reads the database tries names and telephone numbers until one fits"
    elsewhere = copy.deepcopy(asked)
    elsewhere["delivery"]["contact"]["phone"] = "+8613800001235"
    assert (await fulfillment.accept(elsewhere))[0]["outcome"] == "mismatch"
    other = {"voucher_pepper": base64.b64encode(b"q" * 32).decode()}
    async with running_fulfillment(fulfillment_database, fulfillment.issuer, **other) as twin:
        assert (await twin.accept(asked))[0]["outcome"] == "mismatch", "it hangs on the key"
