"""Files of the bank's systems: whole or not at all, and once."""

import json
from typing import Any

import psycopg
import pytest

from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, one, rows
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio

PEOPLE = "customer_number,subject,name,phone,tier,language\n"
POINTS = "customer_number,points,expires_on,reference\n"
ANN, BO = "C1,s1,Ann Lee,13812341234,gold,en\n", "C2,s2,张三,13812341235,silver,zh_hans\n"


def errors(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in found["errors"]]


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("lines", "new", "changed", "unchanged", "points"))


async def set_state(suite: Suite, subject: str, state: str) -> None:
    customer_id = (await suite.me(subject))["customer_id"]
    wish = {"state": state, "reason": "a test of feeds"}
    path, headers = f"/v1/customers/{customer_id}/account-state", suite.issuer.staff("supervisor")
    assert (await suite.client.put(path, json=wish, headers=headers)).status_code == 204


@pytest.mark.proves("P6", "X4")
async def test_customers_come_new_changed_and_unchanged_in_each_encoding(suite: Suite, ledger: TestDatabase) -> None:
    assert counts(await suite.feed("customers", "f1", (PEOPLE + ANN + BO).encode("gb18030"))) == (2, 2, 0, 0, 0)
    before = rows(ledger, "SELECT customer_number, data_key, changed_at FROM customers ORDER BY 1")
    changed = BO.replace("silver", "gold").replace("张三", "张三丰")
    found = await suite.feed(
        "customers", "f2", (PEOPLE + ANN + changed + "C3,s3,李四,+852 9876 5432,gold,zh_hant\n").encode("utf-8-sig")
    )
    assert counts(found) == (3, 1, 1, 1, 0)
    after = rows(ledger, "SELECT customer_number, data_key, changed_at FROM customers ORDER BY 1")
    assert before[0] == after[0], "Ann's row was not written again"
    assert before[1][1] == after[1][1] and before[1][2] < after[1][2], "the data key stays"
    me = await suite.me("s2")
    assert (me["customer_number"], me["tier"], me["language"]) == ("C2", "gold", "zh_hans")
    search = await suite.client.post(
        "/v1/customers/search", json={"phone": "138 1234 1235"}, headers=suite.issuer.staff("agent")
    )
    assert [(item["name"], item["phone"]) for item in search.json()["items"]] == [("张**", "138****1235")]


@pytest.mark.proves("X4")
async def test_a_sign_in_that_belongs_to_another_customer_loads_nothing(suite: Suite, ledger: TestDatabase) -> None:
    await suite.feed("customers", "f1", PEOPLE + ANN)
    found = await suite.feed("customers", "f2", PEOPLE + BO + "C3,s1,李四,13812341236,gold,en\n", expect=422)
    assert errors(found) == [("line 3: subject", "identity-taken")]
    assert one(ledger, "SELECT count(*) FROM customers") == 1
    # Points, and vouchers in another service, are found by the sign-in: it stays with its customer for good.
    moved = await suite.feed("customers", "f3", PEOPLE + ANN.replace(",s1,", ",s9,"), expect=422)
    assert errors(moved) == [("line 2: subject", "identity-fixed")]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(ledger.url) as service:
        service.execute("UPDATE customers SET subject = 's9'")
    await suite.feed("customers", "f2", PEOPLE + BO)  # a name whose file was refused is free


@pytest.mark.proves("P6", "P1", "G1")
async def test_opening_balances_are_taken_in_once_and_must_fit_their_control_line(suite: Suite, ledger: TestDatabase) -> None:
    await suite.feed("customers", "f1", PEOPLE + ANN + BO)
    lines = "C1,100,2030-12-31,L1\nC1,50,2029-12-31,L2\nC2,7,2030-12-31,L1\n"
    cut = await suite.feed("opening-balances", "o1", POINTS + lines, expect=422)
    assert errors(cut) == [("line 4: #total", "missing")]
    wrong = await suite.feed("opening-balances", "o1", POINTS + lines + "#total,3,158\n", expect=422)
    assert (errors(wrong), wrong["errors"][0]["counted"]) == ([("line 5: #total", "wrong-total")], "3,157")
    assert one(ledger, "SELECT count(*) FROM lots") == 0
    assert counts(await suite.feed("opening-balances", "o1", POINTS + lines + "#total,3,157\n")) == (3, 3, 0, 0, 157)
    more = lines + "C2,5,2030-12-31,L9\n#total,4,162\n"
    assert counts(await suite.feed("opening-balances", "o2", POINTS + more)) == (4, 1, 0, 3, 5), (
        "what came before is not counted twice"
    )
    assert rows(ledger, "SELECT sum(posted), count(*) FROM accounts") == [(162, 2)]
    assert rows(ledger, "SELECT DISTINCT h.code FROM postings p JOIN house_accounts h ON h.id = p.debit_account") == [
        ("opening",)
    ]
    assert [lot["expires_on"] for lot in (await suite.points("s1"))["expiring_soon"]] == []


@pytest.mark.proves("X4", "P2")
async def test_the_same_file_twice_changes_nothing_and_other_content_under_its_name_is_refused(
    suite: Suite, ledger: TestDatabase
) -> None:
    await suite.feed("customers", "f1", PEOPLE + ANN)
    content = POINTS + "C1,100,2030-12-31,a\n#total,1,100\n"
    headers = {**suite.issuer.service("bank-feeds", "feeds:write"), "Content-Type": "text/csv"}
    first, again = [await suite.client.put("/v1/feeds/earned-points/e1", content=content, headers=headers) for _ in range(2)]
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")) == (None, "true")
    found = await suite.feed("earned-points", "e1", content.replace("100", "200"), expect=422)
    assert found["type"].endswith("/feed-changed")
    assert counts(await suite.feed("earned-points", "e2", content)) == (1, 0, 0, 1, 0), "the same line in another file"
    assert (await suite.points("s1"))["balance"] == 100
    assert rows(ledger, "SELECT kind, name FROM feed_files ORDER BY received_at") == [
        ("customers", "f1"), ("earned-points", "e1"), ("earned-points", "e2")
    ]  # fmt: skip


@pytest.mark.proves("X4", "P6")
async def test_one_bad_line_loads_nothing_and_all_that_is_wrong_is_told_at_once(suite: Suite, ledger: TestDatabase) -> None:
    await suite.feed("customers", "f1", PEOPLE + ANN + BO + "C3,s3,李四,13812341236,gold,en\n")
    await suite.feed("earned-points", "e1", POINTS + "C1,100,2030-12-31,a\n#total,1,100\n")
    await set_state(suite, "s2", "closed")
    await set_state(suite, "s3", "no_earn")
    lines = (
        "C1,5,2030-12-31,ok\nNOBODY,5,2030-12-31,x\nC1,101,2030-12-31,a\nC2,5,2030-12-31,x\nC3,5,2030-12-31,x\n#total,5,121\n"
    )
    found = await suite.feed("earned-points", "e2", POINTS + lines, expect=422)
    assert found["type"].endswith("/feed-rejected")
    assert sorted(errors(found)) == [
        ("line 3: customer_number", "unknown-customer"), ("line 4: reference", "conflicts"),
        ("line 5: customer_number", "may-not-earn"), ("line 6: customer_number", "may-not-earn"),
    ]  # fmt: skip
    assert one(ledger, "SELECT count(*) FROM lots") == 1
    assert one(ledger, "SELECT count(*) FROM feed_files WHERE name = 'e2'") == 0
    opening = POINTS + "C2,5,2030-12-31,x\nC3,5,2030-12-31,x\n#total,2,10\n"
    assert counts(await suite.feed("opening-balances", "o1", opening)) == (2, 2, 0, 0, 10), (
        "they are taken over whatever the state"
    )


@pytest.mark.proves("G42", "X2")
async def test_a_feed_is_csv_of_a_known_kind_from_somebody_who_may_send_it(suite: Suite) -> None:
    sender = suite.issuer.service("bank-feeds", "feeds:write")
    csv = {"Content-Type": "text/csv"}
    cases = [
        ("customers", "f1", {**sender, "Content-Type": "application/json"}, "unsupported-media-type"),
        ("cards", "f1", {**sender, **csv}, "validation-error"),
        ("customers", "no name", {**sender, **csv}, "validation-error"),
        ("customers", "f1", {**suite.issuer.service("other", "internal"), **csv}, "insufficient-scope"),
        ("customers", "f1", {**suite.issuer.staff("agent"), **csv}, "insufficient-scope"),
        ("customers", "f1", csv, "invalid-token"),
    ]
    for kind, name, headers, code in cases:
        answer = await suite.client.put(f"/v1/feeds/{kind}/{name}", content=PEOPLE + ANN, headers=headers)
        assert code_of(answer) == code, (kind, name)
    for content in (b"\xff\xfe\xff", b"", b'customer_number,subject,name,phone,tier,language\n"' + b"x" * 200_000):
        answer = await suite.client.put("/v1/feeds/customers/f1", content=content, headers={**sender, **csv})
        assert code_of(answer) == "feed-rejected"
        assert json.loads(answer.content)["errors"]
