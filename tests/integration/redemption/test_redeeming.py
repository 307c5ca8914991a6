"""Points buy a voucher: the money path through three services, and everything that refuses."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.catalog.campaigns.domain import offer_id
from shared.clock import SetClock
from tests.support.catalog import CAMPAIGN, batch_row, campaign_row, offer_row, reward_row, row, workbook_cells
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, one, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


async def shown(suite: Suite, subject: str, redemption_id: str) -> dict[str, Any]:
    answer = await suite.client.get(f"/v1/redemptions/{redemption_id}", headers=suite.issuer.customer(subject))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def untouched(suite: Suite, subject: str, points: int) -> None:
    found = await suite.points(subject)
    assert (found["balance"], found["held"], found["available"]) == (points, 0, points)


@pytest.mark.proves("R1", "R2", "F3", "P1", "P2")
async def test_points_buy_a_voucher_that_is_in_the_wallet(suite: Suite) -> None:
    [customer] = await suite.add_customers(2500)
    answer = await suite.redeem(customer)
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "confirmed"
    assert answer.headers["location"] == f"/v1/redemptions/{answer.json()['id']}"
    points = await suite.points(customer)
    assert (points["balance"], points["held"], points["available"]) == (1500, 0, 1500)
    await suite.drain()
    found = await shown(suite, customer, answer.json()["id"])
    assert found["state"] == "fulfilled"
    assert [entry["kind"] for entry in found["timeline"]] == ["accepted", "confirmed", "fulfilled"]
    wallet = await suite.tills.get("/v1/vouchers", headers=suite.issuer.customer(customer))
    assert len(wallet.json()["items"]) == 1


@pytest.mark.proves("R1", "R2", "G6")
async def test_ten_lines_are_one_redemption_and_several_lines_may_be_of_one_offer(
    bare_suite: Suite, ledger: TestDatabase
) -> None:
    await bare_suite.catalog.open(
        rewards=[reward_row("R1"), reward_row("R2")],
        offers=[offer_row("O1", price_points=1000), offer_row("O2", "R2", price_points=7)],
        stock_batches=[batch_row("B1", quantity=100), batch_row("B2", "R2", quantity=100)],
    )
    [customer] = await bare_suite.add_customers(20_000)
    wanted = [("O1", 2), ("O2", 3), ("O1", 1), *[("O2", 1)] * 7]
    answer = await bare_suite.redeem(customer, *wanted)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["price_points"] == 3 * 1000 + 10 * 7
    assert [(line["number"], line["quantity"], line["unit_points"], line["points"]) for line in body["lines"]] == [
        (number, quantity, 1000 if offer == "O1" else 7, quantity * (1000 if offer == "O1" else 7))
        for number, (offer, quantity) in enumerate(wanted, start=1)
    ]
    assert body["lines"][0]["reward"] == {"code": "R1", "name": "咖啡券 Coffee R1"}
    await bare_suite.drain()
    assert (await bare_suite.points(customer))["balance"] == 20_000 - 3_070
    wallet = await bare_suite.tills.get("/v1/vouchers?limit=100", headers=bare_suite.issuer.customer(customer))
    assert len(wallet.json()["items"]) == 13
    assert one(ledger, "SELECT count(*) FROM postings WHERE kind = 'redeemed'") == 1, "one lot, one posting"


@pytest.mark.proves("R2", "G2")
async def test_points_that_do_not_suffice_are_said_in_numbers_and_in_each_language(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(2999)
    wanted = {
        "zh-Hans": "积分不足：需要 3000，可用 2999，还差 1。", "zh-Hant": "積分不足：需要 3000，可用 2999，還差 1。",
        "en": "Not enough points: 3000 needed, 2999 available, 1 missing.",
    }  # fmt: skip
    for language, sentence in wanted.items():
        answer = await suite.redeem(customer, ("O1", 3), **{"Accept-Language": language})
        assert (answer.status_code, code_of(answer)) == (409, "insufficient-points")
        body = answer.json()
        assert (body["required"], body["available"], body["missing"], body["detail"]) == (3000, 2999, 1, sentence)
    await untouched(suite, customer, 2999)
    assert one(ledger, "SELECT count(*) FROM redemptions") == 0
    assert [call for call in suite.network.calls if "reservations" in call[2]] == [], "the catalog was not asked"


@pytest.mark.proves("C4", "R2")
async def test_a_customer_takes_no_more_than_the_limits_of_the_offer_say(bare_suite: Suite, ledger: TestDatabase) -> None:
    suite = bare_suite
    await suite.catalog.open(offers=[offer_row("O1", limit_per_customer=3), offer_row("O2", limit_per_day=2)])
    ours, theirs = await suite.add_customers(50_000, 50_000)
    assert code_of(await suite.redeem(ours, ("O1", 2))) == "201"
    answer = await suite.redeem(ours, ("O1", 1), ("O1", 1))
    assert (code_of(answer), answer.json()["limit"], answer.json()["left"], answer.json()["line"]) == ("limit-reached", 3, 1, 2)
    assert code_of(await suite.redeem(ours, ("O1", 1))) == "201"
    assert code_of(await suite.redeem(ours, ("O1", 1))) == "limit-reached"
    assert code_of(await suite.redeem(ours, ("O2", 2))) == "201"
    assert code_of(await suite.redeem(ours, ("O2", 1))) == "limit-reached"
    assert code_of(await suite.redeem(theirs, ("O1", 3), ("O2", 2))) == "201"
    assert sorted(taken for (taken,) in rows(ledger, "SELECT taken FROM limit_counters")) == [2, 2, 3, 3]


@pytest.mark.proves("C4", "G35")
async def test_a_limit_per_day_begins_anew_at_the_bank_s_midnight(
    databases: Callable[[str], TestDatabase], issuer: Issuer
) -> None:
    clock = SetClock(datetime(2026, 6, 1, 15, 59, 58, tzinfo=UTC))  # 23:59:58 in Shanghai
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open(offers=[offer_row("O1", limit_per_day=1)])
        [customer] = await suite.add_customers(50_000)
        assert code_of(await suite.redeem(customer)) == "201"
        clock.advance(timedelta(seconds=1))  # 23:59:59
        assert code_of(await suite.redeem(customer)) == "limit-reached"
        clock.advance(timedelta(seconds=1))  # 00:00:00
        assert code_of(await suite.redeem(customer)) == "201"
        assert code_of(await suite.redeem(customer)) == "limit-reached"
        days = rows(databases("redemption"), "SELECT accepted_on FROM redemptions ORDER BY id")
        assert [str(day) for (day,) in days] == ["2026-06-01", "2026-06-02"]


@pytest.mark.proves("R2", "G9")
@pytest.mark.parametrize(
    ("sheets", "code"),
    [
        ({"stock_batches": [batch_row(quantity=1)]}, "out-of-stock"),
        ({"offers": [offer_row(quota_total=1)]}, "quota-exhausted"),
        ({"offers": [offer_row(quota_per_day=1)]}, "quota-exhausted"),
        ({"budget": [row("budget", line="procurement", amount_minor=4_000)]}, "budget-exhausted"),
        ({"offers": [offer_row(closes_on="2026-02-01")]}, "offer-not-open"),
        ({"campaign": [campaign_row(closes_on="2026-02-01")]}, "campaign-not-open"),
    ],
)  # fmt: skip
async def test_what_the_catalog_refuses_is_declined_and_leaves_points_and_limits_as_they_were(
    bare_suite: Suite, ledger: TestDatabase, sheets: dict[str, Any], code: str
) -> None:
    suite = bare_suite
    limited = [{**offer, "limit_per_customer": 5} for offer in sheets.get("offers", [offer_row()])]
    await suite.catalog.open(**{**sheets, "offers": limited})
    first, second = await suite.add_customers(5000, 5000)
    if code not in ("offer-not-open", "campaign-not-open"):
        assert code_of(await suite.redeem(first)) == "201"
    answer = await suite.redeem(second, ("O1", 1), **{"Accept-Language": "en"})
    assert (answer.status_code, code_of(answer), answer.json()["line"]) == (409, code, 1)
    found = await shown(suite, second, answer.json()["redemption_id"])
    assert (found["state"], found["timeline"][-1]["kind"]) == ("declined", "declined")
    await untouched(suite, second, 5000)
    assert one(ledger, "SELECT min(taken) FROM limit_counters") == 0
    assert one(ledger, "SELECT count(*) FROM tasks WHERE kind = 'release'") == 0, "a sole, answered attempt leaves no doubt"
    assert one(ledger, "SELECT count(*) FROM holds WHERE state = 'released'") == 1
    assert one(ledger, "SELECT count(*) FROM tasks WHERE state <> 'done' AND kind = 'drive'") == 0


@pytest.mark.proves("R2")
async def test_a_campaign_that_is_loaded_and_not_in_force_sells_nothing(bare_suite: Suite) -> None:
    loaded = await bare_suite.catalog.load(workbook_cells())
    assert loaded.status_code == 201
    [customer] = await bare_suite.add_customers(5000)
    assert code_of(await bare_suite.redeem(customer)) in ("offer-unknown", "campaign-not-open", "offer-not-open")
    await untouched(bare_suite, customer, 5000)


@pytest.mark.proves("R2", "X4")
async def test_an_offer_that_is_not_there_or_of_another_campaign_is_unknown(suite: Suite) -> None:
    [customer] = await suite.add_customers(5000)
    answer = await suite.redeem(customer, ("O1", 1), ("NONE", 1))
    assert (answer.status_code, code_of(answer), answer.json()["line"]) == (404, "offer-unknown", 2)
    assert code_of(await suite.redeem(customer, version=2)) == "offer-unknown"
    wish = {"campaign": "OTHER", "lines": [{"offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1}]}
    headers = {**suite.issuer.customer(customer), "Idempotency-Key": "k"}
    assert code_of(await suite.client.post("/v1/redemptions", json=wish, headers=headers)) == "offer-unknown"
    await untouched(suite, customer, 5000)


@pytest.mark.proves("R2")
async def test_a_stale_version_is_answered_with_the_new_price_and_the_new_version_redeems(suite: Suite) -> None:
    [customer] = await suite.add_customers(5000)
    assert await suite.catalog.open(offers=[offer_row(price_points=1200)]) == 2
    answer = await suite.redeem(customer)
    body = answer.json()
    assert (answer.status_code, code_of(answer)) == (409, "offer-changed")
    assert (body["offer_version"], body["price_points"], body["line"]) == (2, 1200, 1)
    await untouched(suite, customer, 5000)
    assert code_of(await suite.redeem(customer, version=body["offer_version"])) == "201"
    assert (await suite.points(customer))["balance"] == 3800


@pytest.mark.proves("P6")
async def test_each_account_state_lets_redeem_or_not(suite: Suite) -> None:
    [customer] = await suite.add_customers(50_000)
    customer_id = (await suite.me(customer))["customer_id"]
    expected = {"no_redeem": False, "frozen": False, "no_earn": True, "active": True, "closed": False}
    for state, may_redeem in expected.items():
        put = await suite.client.put(
            f"/v1/customers/{customer_id}/account-state",
            json={"state": state, "reason": "a test of states"},
            headers=suite.issuer.staff("supervisor"),
        )
        assert put.status_code == 204, put.text
        answer = await suite.redeem(customer)
        assert code_of(answer) == ("201" if may_redeem else "account-may-not-redeem"), state
        if not may_redeem:
            assert answer.json()["state"] == state


@pytest.mark.proves("X2")
async def test_somebody_who_is_no_customer_of_ours_redeems_nothing(suite: Suite) -> None:
    answer = await suite.redeem("nobody")
    assert (answer.status_code, code_of(answer)) == (403, "unknown-customer")


@pytest.mark.proves("X4", "G42")
async def test_each_wrong_field_is_named_in_each_language(suite: Suite) -> None:
    [customer] = await suite.add_customers(5000)
    wish = {
        "campaign": "no spaces", "mode": "cash", "extra": 1,
        "lines": [{"offer_id": "x", "offer_version": 0, "quantity": 101}, {"offer_id": str(uuid.uuid4()), "quantity": 1.5}],
    }  # fmt: skip
    expected = {
        ("campaign", "not-allowed"), ("mode", "not-allowed"), ("extra", "unknown"), ("lines[0].offer_id", "wrong-type"),
        ("lines[0].offer_version", "too-small"), ("lines[0].quantity", "too-large"), ("lines[1].offer_version", "missing"),
        ("lines[1].quantity", "wrong-type"),
    }  # fmt: skip
    sentences = []
    for language in ("zh-Hans", "zh-Hant", "en"):
        headers = {**suite.issuer.customer(customer), "Idempotency-Key": "k", "Accept-Language": language}
        answer = await suite.client.post("/v1/redemptions", json=wish, headers=headers)
        assert (answer.status_code, code_of(answer)) == (422, "validation-error")
        assert {(error["field"], error["code"]) for error in answer.json()["errors"]} == expected
        sentences.append(tuple(error["detail"] for error in answer.json()["errors"]))
    assert len(set(sentences)) == 3
    for lines in ([], [{"offer_id": str(uuid.uuid4()), "offer_version": 1}] * 11):
        headers = {**suite.issuer.customer(customer), "Idempotency-Key": "k"}
        answer = await suite.client.post("/v1/redemptions", json={"campaign": CAMPAIGN, "lines": lines}, headers=headers)
        assert [error["field"] for error in answer.json()["errors"]] == ["lines"]


@pytest.mark.proves("G2")
async def test_what_is_held_cannot_be_redeemed_again(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(1500)
    gate = asyncio.Event()
    suite.network.hooks["catalog.test"] = gate.wait  # the catalog has done its part, and its answer waits
    first = asyncio.create_task(suite.redeem(customer))
    while not [call for call in suite.network.calls if call[2].endswith("/reservations")]:
        await asyncio.sleep(0.01)
        if suite.network.calls and not gate.is_set() and "offers" in suite.network.calls[-1][2]:
            suite.network.hooks.clear()  # the offer's answer is not the one that waits
            gate.set()
            await asyncio.sleep(0)
            gate.clear()
            suite.network.hooks["catalog.test"] = gate.wait
    while one(ledger, "SELECT held FROM accounts") == 0:
        await asyncio.sleep(0.01)
    held = await suite.points(customer)
    assert (held["balance"], held["held"], held["available"]) == (1500, 1000, 500)
    second = await suite.redeem(customer)
    assert (code_of(second), second.json()["available"]) == ("insufficient-points", 500)
    gate.set()
    assert code_of(await first) == "201"
