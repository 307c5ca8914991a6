"""The address book: the customer's own, sealed, at most twenty; staff see the district."""

import asyncio
import uuid

import pytest

from tests.integration.redemption.conftest import Databases
from tests.support.goods import ADDRESS, Shop
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, one, rows
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(bare_suite: Suite, databases: Databases) -> Shop:
    return await Shop(bare_suite, databases).open()


async def book(shop: Shop) -> list[dict[str, object]]:
    answer = await shop.suite.client.get("/v1/addresses", headers=shop.me)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    found: list[dict[str, object]] = answer.json()["items"]
    return found


@pytest.mark.proves("R9")
async def test_an_address_is_kept_changed_shown_and_forgotten(shop: Shop) -> None:
    [kept] = await book(shop)
    assert kept == {**ADDRESS, "id": shop.address_id, "phone": "+8613900005678", "is_default": False}
    assert (await shop.put_address(shop.address_id, street="科技路 2 号", is_default=True)).status_code == 204
    second = str(uuid.uuid4())
    assert (await shop.put_address(second, postcode=None, label=None, is_default=True)).status_code == 204
    assert [(a["id"], a["is_default"], a["street"]) for a in await book(shop)] == [
        (second, True, "科技路 1 号"), (shop.address_id, False, "科技路 2 号"),
    ]  # fmt: skip
    for expected in (204, 404):
        gone = await shop.suite.client.delete(f"/v1/addresses/{second}", headers=shop.me)
        assert gone.status_code == expected
    assert [a["id"] for a in await book(shop)] == [shop.address_id]


@pytest.mark.proves("G39", "R9")
async def test_another_customer_s_address_is_neither_seen_nor_changed_nor_forgotten(shop: Shop) -> None:
    theirs = shop.address_id
    before = await book(shop)
    owner = shop.customer
    await shop.new_customer()
    assert (await shop.put_address(theirs, street="elsewhere")).status_code == 404
    assert (await shop.suite.client.delete(f"/v1/addresses/{theirs}", headers=shop.me)).status_code == 404
    assert theirs not in [a["id"] for a in await book(shop)]
    shop.customer = owner
    assert await book(shop) == before


@pytest.mark.proves("R9")
async def test_there_are_twenty_however_many_come_at_once(shop: Shop, ledger: TestDatabase) -> None:
    few = asyncio.Semaphore(3)

    async def put() -> str:
        async with few:
            return code_of(await shop.put_address(str(uuid.uuid4()), is_default=True))

    codes = await asyncio.gather(*(put() for _ in range(25)))
    assert (codes.count("204"), codes.count("address-book-full")) == (19, 6)
    assert one(ledger, "SELECT count(*) FROM customer_addresses WHERE is_default") == 1
    assert len(await book(shop)) == 20
    assert (await shop.put_address(shop.address_id, city="广州市")).status_code == 204, "one that is there can still be changed"


@pytest.mark.proves("X4", "G42")
async def test_each_wrong_field_is_named(shop: Shop) -> None:
    answer = await shop.put_address(
        str(uuid.uuid4()), phone="12", recipient=" ", city="x" * 65, postcode="!", label="\u0007", is_default="yes"
    )
    assert {error["field"] for error in answer.json()["errors"]} == {
        "phone", "recipient", "city", "postcode", "label", "is_default",
    }  # fmt: skip
    answer = await shop.put_address(str(uuid.uuid4()), phone="123456")
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("phone", "not-a-phone")]


@pytest.mark.proves("G49", "X6")
async def test_nothing_of_an_address_is_in_the_database_in_plain_and_a_moved_one_does_not_open(
    shop: Shop, ledger: TestDatabase
) -> None:
    everything = str(rows(ledger, "SELECT * FROM customer_addresses")) + str(
        rows(ledger, "SELECT action, subject, before, after FROM audit_entries")
    )
    for value in (*ADDRESS.values(), "13900005678"):
        assert value not in everything
        assert value.encode().hex() not in everything
    assert one(ledger, "SELECT count(*) FROM audit_entries WHERE action = 'address.kept'") == 1
    first, second = shop.address_id, str(uuid.uuid4())
    await shop.put_address(second)
    rows(ledger, "UPDATE customer_addresses SET sealed = (SELECT sealed FROM customer_addresses WHERE id = %s) WHERE id = %s "
         "RETURNING id", first, second)  # fmt: skip
    answer = await shop.suite.client.get("/v1/addresses", headers=shop.me)
    assert answer.status_code == 500


@pytest.mark.proves("A1", "G48", "X6")
async def test_staff_see_the_district_and_who_in_outline_and_the_look_is_on_record(shop: Shop, ledger: TestDatabase) -> None:
    customer_id = (await shop.suite.me(shop.customer))["customer_id"]
    headers = shop.suite.issuer.staff("agent")
    answer = await shop.suite.client.get(f"/v1/customers/{customer_id}/addresses", headers=headers)
    [seen] = answer.json()["items"]
    assert seen == {
        "id": shop.address_id, "recipient": "李**", "phone": "139****5678", "province": "广东省", "city": "深圳市",
        "district": "南山区", "is_default": False,
    }  # fmt: skip
    looks = rows(ledger, "SELECT actor, subject, after ->> 'what' FROM audit_entries WHERE action = 'customer.looked_up'")
    assert looks == [("staff:person-of-staff-1", f"customer:{customer_id}", "addresses")]
    absent = await shop.suite.client.get(f"/v1/customers/{uuid.uuid4()}/addresses", headers=headers)
    assert absent.status_code == 404
