"""Contact data: masked to people, sealed at rest, absent from logs."""

import io
import logging

import pytest

from shared.logs import configure_logs
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, execute, one, rows
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio

NAME, PHONE = "金丝雀甲", "13988887777"
FEED = "customer_number,subject,name,phone,tier,language\n"


def everything_as_text(database: TestDatabase) -> str:
    tables = rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert len(tables) > 10
    return "\n".join(str(row) for (table,) in tables for row in rows(database, f"SELECT x::text FROM {table} x"))


@pytest.mark.proves("A1", "X6", "G46", "G48")
async def test_a_caller_is_found_by_number_and_shown_masked_and_the_look_is_on_record(
    suite: Suite, ledger: TestDatabase
) -> None:
    await suite.feed("customers", "f1", f"{FEED}C1,s1,{NAME},{PHONE},gold,en\nC2,s2,Ann Lee,+86 {PHONE},gold,en\n")
    agent = suite.issuer.staff("agent", subject="staff-7")
    found = await suite.client.post("/v1/customers/search", json={"phone": "139-8888-7777"}, headers=agent)
    assert sorted((item["customer_number"], item["name"], item["phone"]) for item in found.json()["items"]) == [
        ("C1", "金***", "139****7777"), ("C2", "A* L*", "139****7777")
    ]  # fmt: skip
    assert NAME not in found.text and PHONE not in found.text
    looks = rows(ledger, "SELECT subject, actor FROM audit_entries WHERE action = 'customer.looked_up' ORDER BY 1")
    assert looks == sorted((f"customer:{item['customer_id']}", "staff:person-of-staff-7") for item in found.json()["items"])
    nobody = await suite.client.post("/v1/customers/search", json={"phone": "13900000000"}, headers=agent)
    assert nobody.json() == {"items": [], "more": False}
    searches = rows(ledger, "SELECT after FROM audit_entries WHERE action = 'customer.searched' ORDER BY id")
    by_phone = [({"by": "phone", "found": count},) for count in (2, 0)]
    assert searches == by_phone, "who looks for somebody in vain is on record, too"
    wrong = await suite.client.post("/v1/customers/search", json={"phone": "12345"}, headers=agent)
    assert (code_of(wrong), wrong.json()["errors"][0]["field"], wrong.json()["errors"][0]["code"]) == (
        "validation-error", "phone", "not-a-phone"
    )  # fmt: skip
    for headers in (suite.issuer.customer("s1"), suite.issuer.staff("campaign_manager"), suite.issuer.service()):
        refused = await suite.client.post("/v1/customers/search", json={"phone": PHONE}, headers=headers)
        assert code_of(refused) == "insufficient-scope"


@pytest.mark.proves("X6", "G49", "G48")
async def test_contact_data_stands_nowhere_in_plain_neither_in_a_table_nor_in_a_log(suite: Suite, ledger: TestDatabase) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs("DEBUG", service="redemption")
    written = io.StringIO()
    for handler in root.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
    try:
        line = f"C1,s1,{NAME},{PHONE},gold,en\n"
        await suite.feed("customers", "f1", FEED + line)
        await suite.feed("customers", "f2", FEED + line.replace("gold", "silver"))
        await suite.feed("customers", "f3", FEED + line + line, expect=422)
        execute(ledger.owner_url, "ALTER TABLE customers ADD CONSTRAINT never CHECK (tier <> 'black') NOT VALID")
        await suite.feed("customers", "f4", FEED + line.replace("gold", "black"), expect=500)
        number = "customer_number,points,expires_on,reference\nC1,5000,2030-12-31,L1\n#total,1,5000\n"
        await suite.feed("opening-balances", "o1", number)
        agent = suite.issuer.staff("agent")
        await suite.client.post("/v1/customers/search", json={"phone": PHONE}, headers=agent)
        assert code_of(await suite.redeem("s1")) == "201"
        await suite.drain()
    finally:
        root.handlers[:], root.level = before, level
    assert "request_failed" in written.getvalue(), "something was logged"
    stored = everything_as_text(ledger)
    for canary in (NAME, PHONE, NAME.encode().hex(), PHONE.encode().hex()):
        assert canary not in stored
        assert canary not in written.getvalue()
    assert one(ledger, "SELECT count(*) FROM customers") == 1


@pytest.mark.proves("G49")
async def test_a_value_that_was_copied_to_another_row_does_not_open(suite: Suite, ledger: TestDatabase) -> None:
    await suite.feed("customers", "f1", f"{FEED}C1,s1,{NAME},{PHONE},gold,en\nC2,s2,Ann Lee,13900000001,gold,en\n")
    agent = suite.issuer.staff("agent")
    for copied in ("data_key", "name_sealed", "phone_sealed"):
        before = rows(ledger, f"SELECT {copied} FROM customers WHERE customer_number = 'C2'")
        execute(
            ledger.superuser_url,
            f"UPDATE customers SET {copied} = (SELECT {copied} FROM customers WHERE customer_number = 'C1') "
            "WHERE customer_number = 'C2'",
        )
        answer = await suite.client.post("/v1/customers/search", json={"phone": "13900000001"}, headers=agent)
        assert answer.status_code == 500 and NAME not in answer.text, copied
        execute(ledger.superuser_url, f"UPDATE customers SET {copied} = %s WHERE customer_number = 'C2'", before[0][0])
