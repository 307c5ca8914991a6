"""A request that is sent again: one effect, one answer (G26-G29, R7)."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.catalog.campaigns.domain import offer_id
from services.redemption.redemptions.use_cases import redeem as redeeming
from shared.clock import SetClock
from tests.integration.redemption.conftest import Databases
from tests.support.catalog import CAMPAIGN, offer_row
from tests.support.postgres import TestDatabase
from tests.support.redemption import another_redemption, code_of, hurry, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


def same(first: httpx.Response, second: httpx.Response) -> bool:
    """The same status and bytes, and the second says that it is a replay."""
    return (first.status_code, first.content) == (second.status_code, second.content) and (
        second.headers.get("idempotency-replayed") == "true"
    )


async def post(suite: Suite, subject: str, *headers: tuple[str, str], body: Any = None) -> httpx.Response:
    """A redemption with headers one by one, repeated ones too."""
    line = {"offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1, "quantity": 1}
    wish = body or {"campaign": CAMPAIGN, "lines": [line]}
    all_headers = [*suite.issuer.customer(subject).items(), *headers]
    return await suite.client.post("/v1/redemptions", json=wish, headers=all_headers)


@pytest.mark.proves("G26")
async def test_a_key_is_required_once_and_of_printable_characters(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(50_000)
    assert code_of(await post(suite, customer)) == "idempotency-key-missing"
    for value in ("", '""', "x" * 256, "a\tb"):
        assert code_of(await post(suite, customer, ("Idempotency-Key", value))) == "idempotency-key-invalid", value
    assert code_of(await post(suite, customer, ("Idempotency-Key", "a"), ("Idempotency-Key", "b"))) == "idempotency-key-invalid"
    assert one(ledger, "SELECT count(*) FROM redemptions") == 0
    assert code_of(await post(suite, customer, ("Idempotency-Key", "x" * 255))) == "201"
    bare = str(uuid.uuid4())
    first = await post(suite, customer, ("Idempotency-Key", bare))
    assert same(first, await post(suite, customer, ("Idempotency-Key", f'"{bare}"'))), "quoted and bare are one key"
    assert one(ledger, "SELECT count(*) FROM redemptions") == 2


@pytest.mark.proves("G27", "R7")
async def test_the_answer_stays_the_same_byte_for_byte_when_all_has_been_handed_out(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(50_000)
    first = await suite.redeem(customer, key="k1")
    await suite.drain()
    assert one(ledger, "SELECT state FROM redemptions") == "fulfilled"
    again = await suite.redeem(customer, key="k1", **{"Accept-Language": "en"})
    assert same(first, again)
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    explicit = {
        "mode": "points",
        "campaign": CAMPAIGN,
        "lines": [{"offer_version": 1, "offer_id": str(offer_id(CAMPAIGN, "O1"))}],
    }
    assert same(first, await post(suite, customer, ("Idempotency-Key", "k1"), body=explicit)), "the same in other words"
    assert (await suite.points(customer))["balance"] == 49_000


@pytest.mark.proves("G27", "R7")
async def test_a_refusal_is_kept_too_before_and_after_the_accept(bare_suite: Suite) -> None:
    suite = bare_suite
    await suite.catalog.open(offers=[offer_row(price_points=1000, quota_total=1)])
    poor, rich = await suite.add_customers(1, 50_000)
    assert code_of(await suite.redeem(rich)) == "201"
    refused = await suite.redeem(poor, key="k1"), await suite.redeem(rich, key="k1")
    assert [code_of(answer) for answer in refused] == ["insufficient-points", "quota-exhausted"]
    mark = "customer_number,points,expires_on,reference\n"
    await suite.feed("earned-points", "e1", f"{mark}{poor.removeprefix('customer-')},5000,2030-12-31,e1\n#total,1,5000\n")
    for subject, first in zip((poor, rich), refused, strict=True):
        assert same(first, await suite.redeem(subject, key="k1")), "even now that there are points"


@pytest.mark.proves("G28")
async def test_another_request_under_a_used_key_is_refused(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(50_000)
    await suite.redeem(customer, key="k1")
    for other in ([("O1", 2)], [("O1", 1), ("O1", 1)], [("NONE", 1)]):
        answer = await suite.redeem(customer, *other, key="k1")
        assert (answer.status_code, code_of(answer)) == (422, "idempotency-key-reused"), other
    assert one(ledger, "SELECT count(*) FROM redemptions") == 1


@pytest.mark.proves("G29")
async def test_a_key_belongs_to_its_subject_and_client(suite: Suite, ledger: TestDatabase) -> None:
    ours, theirs = await suite.add_customers(50_000, 50_000)
    first = await suite.redeem(ours, key="k1")
    second = await suite.redeem(theirs, ("O1", 2), key="k1")
    assert (code_of(second), second.json()["price_points"]) == ("201", 2000)
    assert second.json()["id"] != first.json()["id"]
    scope = "points:read redemptions:read redemptions:write"
    other_client = {"Authorization": f"Bearer {suite.issuer.token('customer', ours, scope=scope, client_id='kiosk')}"}
    third = await suite.redeem(ours, key="k1", **other_client)
    assert code_of(third) == "201" and third.json()["id"] != first.json()["id"]
    assert one(ledger, "SELECT count(*) FROM redemptions") == 3


@pytest.mark.proves("G28", "G29", "R7")
async def test_the_same_request_many_times_at_once_redeems_once(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(50_000)
    answers = await asyncio.gather(*(suite.redeem(customer, key="k1") for _ in range(10)))
    assert one(ledger, "SELECT count(*) FROM redemptions") == 1
    codes = {code_of(answer) for answer in answers}
    assert codes <= {"201", "idempotency-in-flight"} and "201" in codes
    for answer in answers:
        if answer.status_code == 409:
            assert answer.headers["retry-after"] == "1"
    [first] = {answer.content for answer in answers if answer.status_code == 201}
    assert (await suite.redeem(customer, key="k1")).content == first
    assert (await suite.points(customer))["balance"] == 49_000


@pytest.mark.proves("G28", "R7")
async def test_a_key_that_comes_twice_in_one_set_begins_once(suite: Suite, ledger: TestDatabase) -> None:
    one_, two, ours = await suite.add_customers(50_000, 50_000, 50_000)
    for customer in (one_, two, ours):
        await suite.redeem(customer)
    suite.network.hooks["catalog.test"] = lambda: asyncio.sleep(0.8)
    busy = []
    for customer in (one_, two):  # both flows are at work, so that what comes now waits and becomes one set
        busy.append(asyncio.create_task(suite.redeem(customer)))
        await asyncio.sleep(0.2)
    first, same_again, other = await asyncio.gather(
        suite.redeem(ours, key="k1"), suite.redeem(ours, key="k1"), suite.redeem(ours, ("O1", 2), key="k1")
    )
    assert [code_of(answer) for answer in (first, same_again, other)] == [
        "201", "idempotency-in-flight", "idempotency-key-reused"
    ]  # fmt: skip
    await asyncio.gather(*busy)
    suite.network.hooks.clear()
    assert one(ledger, "SELECT count(*) FROM redemptions") == 6


@pytest.mark.proves("G27", "R7")
async def test_while_the_catalog_is_away_an_answered_request_is_answered_again_by_any_process(
    suite: Suite, ledger: TestDatabase
) -> None:
    [customer] = await suite.add_customers(50_000)
    first = await suite.redeem(customer, key="k1")
    async with another_redemption(suite, ledger) as fresh:
        suite.network.faults["catalog.test"] = "down"
        assert same(first, await suite.redeem(customer, key="k1"))
        assert same(first, await fresh.redeem(customer, key="k1"))
        assert code_of(await fresh.redeem(customer, ("O1", 2), key="k1")) == "idempotency-key-reused"
        nothing = await fresh.redeem(customer, key="k2")
        assert (nothing.status_code, code_of(nothing)) == (503, "dependency-unavailable")
        assert nothing.headers["retry-after"]
    assert one(ledger, "SELECT count(*) FROM redemptions") == 1
    await mended(suite, ledger)


@pytest.mark.proves("G27", "G28", "R7")
async def test_a_request_that_is_still_going_is_answered_in_flight_then_202_then_with_its_end(
    databases: Databases, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.1)
    clock = SetClock(datetime(2026, 6, 1, 4, tzinfo=UTC))
    ledger = databases("redemption")
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open()
        [customer] = await suite.add_customers(50_000)
        await suite.redeem(customer)  # the offer is known from here on
        suite.network.faults["catalog.test"] = "down"
        first = await suite.redeem(customer, key="k1")
        assert (first.status_code, first.json()["state"]) == (202, "accepted")
        assert first.headers["location"] == f"/v1/redemptions/{first.json()['id']}"
        soon = await suite.redeem(customer, key="k1")
        assert (code_of(soon), soon.headers["retry-after"]) == ("idempotency-in-flight", "1")
        clock.advance(timedelta(seconds=4))
        later = await suite.redeem(customer, key="k1")
        assert (later.status_code, later.headers["location"]) == (202, first.headers["location"])
        assert code_of(await suite.redeem(customer, ("O1", 2), key="k1")) == "idempotency-key-reused"
        async with another_redemption(suite, ledger, clock=clock) as fresh:  # it does not know the offer, and cannot ask
            elsewhere = await fresh.redeem(customer, key="k1")
            assert (elsewhere.status_code, elsewhere.headers.get("location")) == (202, first.headers["location"])
        suite.network.faults.clear()
        rested(suite.redemption.state.parts)
        hurry(ledger)
        await suite.worker.drain()
        ended = await suite.redeem(customer, key="k1")
        assert (ended.status_code, ended.json()["id"]) == (201, first.json()["id"])
        assert same(ended, await suite.redeem(customer, key="k1"))
        assert rows(ledger, "SELECT count(*) FROM redemptions") == [(2,)]
        await mended(suite, ledger)
