"""Cancelling: before the pivot by the redemption's row, after it by fulfillment's; and never what has left."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest

from services.redemption.redemptions.use_cases import cancel as cancelling
from services.redemption.redemptions.use_cases import redeem as redeeming
from services.redemption.redemptions.use_cases.cancel import cancel_claimed
from tests.integration.redemption.conftest import Databases
from tests.support.goods import LAMP, LAMP_POINTS, VOUCHER, VOUCHER_POINTS, Shop
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, execute, hurry, mended, one, rested, rows
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(bare_suite: Suite, databases: Databases) -> Shop:
    return await Shop(bare_suite, databases).open()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait three seconds in every test."""
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(cancelling, "ANSWER_SECONDS", 0.2)


def untouched(shop: Shop) -> None:
    """Stock, quota and limits are as if nothing had been redeemed."""
    assert (shop.stock(LAMP), shop.stock(VOUCHER)) == ((0, 0), (0, 0))
    assert shop.limits() == []


@pytest.mark.proves("R6", "K2", "G6", "G11", "G18")
async def test_a_parcel_that_has_not_left_is_cancelled_and_everything_comes_back(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order((LAMP, 3))
    assert (await shop.balance(), shop.limits(), shop.stock()) == ((5000 - 3 * LAMP_POINTS, 0), [3, 3], (3, 0))
    assert (await shop.seen(lamp))["cancellable"]
    answer = await shop.cancel(lamp)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["cancellable"]) == ("cancelled", False)
    assert [entry["kind"] for entry in body["timeline"]][-3:] == ["cancelling", "courier_cancelled", "cancelled"]
    [document] = body["returns"]
    assert (document["kind"], document["state"], document["points"]) == ("cancellation", "refunded", 3 * LAMP_POINTS)
    assert await shop.balance() == (5000, 0)
    await shop.suite.drain()
    untouched(shop)
    assert shop.parcel(lamp)[0] == "cancelled"
    query = "SELECT l.remaining, l.original FROM lots l JOIN postings p ON p.lot_id = l.id WHERE p.kind = 'refunded'"
    assert rows(ledger, query) == [(5000, 5000)]
    hurry(shop.database_of("fulfillment"))
    await shop.suite.drain()
    assert await shop.suite.outside.courier.see("parcels") == [], "nothing was sent"


@pytest.mark.proves("R6", "G18")
async def test_what_has_left_is_not_cancelled_and_goes_on(shop: Shop) -> None:
    lamp = await shop.order()
    shop.suite.network.faults["redemption.test"] = "down"
    await shop.suite.fulfillment_worker.drain()  # it is sent, and nobody has heard
    shop.suite.network.faults.clear()
    answer = await shop.cancel(lamp, key="k1")
    assert (answer.status_code, code_of(answer), answer.json()["state"]) == (409, "too-late-to-cancel", "delivering")
    assert answer.json()["redemption_id"] == lamp
    seen = await shop.seen(lamp)
    assert (seen["state"], seen["timeline"][-1]["kind"]) == ("delivering", "too_late")
    assert [document["state"] for document in seen["returns"]] == ["refused"]
    again = await shop.cancel(lamp, key="k1")
    assert (again.status_code, again.content) == (409, answer.content)
    changed_at = shop.value("SELECT changed_at FROM redemptions")
    shop.suite.network.calls.clear()
    for _ in range(3):
        assert code_of(await shop.cancel(lamp)) == "too-late-to-cancel"
    assert await shop.seen(lamp) == seen and shop.value("SELECT changed_at FROM redemptions") == changed_at
    assert shop.suite.network.calls == [], "what is known to have left is asked for no more"
    hurry(shop.database_of("fulfillment"))
    await shop.suite.drain()
    await shop.happens(lamp, "picked_up", "delivered")
    assert (await shop.seen(lamp))["state"] == "fulfilled"
    late = await shop.cancel(lamp)
    assert (code_of(late), late.json()["state"]) == ("too-late-to-cancel", "fulfilled")
    assert await shop.balance() == (5000 - LAMP_POINTS, 0)


@pytest.mark.proves("R6", "G6", "K2")
async def test_a_voucher_stays_and_the_lamp_beside_it_is_stopped(shop: Shop) -> None:
    both = await shop.order((VOUCHER, 1), (LAMP, 2))
    answer = await shop.cancel(both)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["timeline"][-1]["kind"]) == ("fulfilled", "stopped")
    assert body["returns"][0]["lines"] == [{"number": 2, "quantity": 2, "points": 2 * LAMP_POINTS}]
    assert await shop.balance() == (5000 - VOUCHER_POINTS, 0)
    await shop.suite.drain()
    assert (shop.stock(VOUCHER), shop.stock(LAMP), shop.limits()) == ((0, 1), (0, 0), [1])
    late = await shop.cancel(both)
    assert (code_of(late), late.json()["state"]) == ("too-late-to-cancel", "fulfilled")


@pytest.mark.proves("R6", "F3")
async def test_a_voucher_in_the_wallet_is_not_cancelled_and_one_that_fulfillment_never_saw_is(shop: Shop) -> None:
    issued = await shop.redeem((VOUCHER, 1))
    await shop.suite.worker.drain()
    assert code_of(await shop.cancel(issued.json()["id"])) == "too-late-to-cancel"
    waiting = (await shop.redeem((VOUCHER, 2))).json()["id"]
    answer = await shop.cancel(waiting)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert await shop.balance() == (5000 - VOUCHER_POINTS, 0)
    await shop.suite.drain()
    assert (shop.stock(VOUCHER), shop.limits()) == ((0, 1), [1])
    wallet = await shop.suite.tills.get("/v1/vouchers", headers=shop.me)
    assert len(wallet.json()["items"]) == 1, "a creation that comes late meets the tombstone"


@pytest.mark.proves("R6", "G10", "G22", "K2")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_before_the_pivot_it_is_cancelled_at_once_whatever_became_of_the_reservation(
    shop: Shop, quick: None, fault: str
) -> None:
    await shop.redeem((VOUCHER, 1), key="first")  # the offers are known from here on
    await shop.redeem(delivery=shop.by_courier())
    for _ in range(3):
        await shop.suite.drain()
    before = await shop.balance(), shop.limits(), shop.stock(LAMP), shop.stock(VOUCHER)
    shop.suite.network.faults["catalog.test"] = fault
    accepted = await shop.redeem((VOUCHER, 1), (LAMP, 1), delivery=shop.by_courier(), key="k1")
    assert (accepted.status_code, accepted.json()["state"]) == (202, "accepted")
    redemption = accepted.json()["id"]
    answer = await shop.cancel(redemption, "changed my mind")
    assert (answer.status_code, answer.json()["state"], answer.json()["returns"]) == (200, "cancelled", [])
    assert "changed my mind" in answer.json()["timeline"][-1]["words"]
    assert (await shop.balance(), shop.limits()) == (before[0], before[1])
    await mended(shop.suite, shop.database_of("redemption"))
    assert (await shop.balance(), shop.limits(), shop.stock(LAMP), shop.stock(VOUCHER)) == before
    told = await shop.redeem((VOUCHER, 1), (LAMP, 1), delivery=shop.by_courier(), key="k1")
    assert (told.status_code, told.json()["state"]) == (201, "cancelled")
    assert rows(shop.database_of("catalog"), "SELECT state FROM reservations WHERE id = %s", redemption) == [("released",)]


@pytest.mark.proves("R7", "G27", "G28", "G29")
async def test_a_cancellation_is_asked_again_under_its_key_and_cancelled_once(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order()
    first = await shop.cancel(lamp, "too dark", key="k1")
    again = await shop.cancel(lamp, "too dark", key="k1")
    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (200, first.content, "true")
    assert code_of(await shop.cancel(lamp, "too bright", key="k1")) == "idempotency-key-reused"
    other = await shop.cancel(lamp, key="k2")
    assert (other.status_code, other.json()["state"]) == (200, "cancelled"), "cancelled already is cancelled"
    assert one(ledger, "SELECT count(*) FROM postings WHERE kind = 'refunded'") == 1
    assert one(ledger, "SELECT count(*) FROM returns") == 1
    headers = {**shop.me}
    bare = await shop.suite.client.post(f"/v1/redemptions/{lamp}/cancellation", json={}, headers=headers)
    assert code_of(bare) == "idempotency-key-missing"


@pytest.mark.proves("R6", "G39")
async def test_nobody_cancels_another_customer_s_redemption(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order()
    owner = shop.customer
    await shop.new_customer()
    assert code_of(await shop.cancel(lamp, key="k")) == code_of(await shop.cancel(str(uuid.uuid4()), key="k")) == "not-found"
    assert one(ledger, "SELECT state FROM redemptions") == "delivering"
    shop.customer = owner


@pytest.mark.proves("R6", "A2", "X5", "R8")
async def test_an_agent_cancels_with_a_reason_that_stands_in_the_timeline_and_on_record(
    shop: Shop, ledger: TestDatabase
) -> None:
    lamp = await shop.order()
    agent = shop.suite.issuer.staff("agent", subject="agent-7")
    missing = await shop.cancel(lamp, who=agent)
    assert [(e["field"], e["code"]) for e in missing.json()["errors"]] == [("reason", "missing")]
    long = await shop.cancel(lamp, "x" * 201, who=agent)
    assert [(e["field"], e["code"]) for e in long.json()["errors"]] == [("reason", "too-large")]
    for role in ("branch", "auditor", "reviewer", "administrator"):
        assert (await shop.cancel(lamp, "may I", who=shop.suite.issuer.staff(role))).status_code == 403
    answer = await shop.cancel(lamp, "the caller wants another one", who=agent)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    [entry] = [entry for entry in answer.json()["timeline"] if entry["kind"] == "cancelling"]
    assert entry["actor"] == "staff:person-of-agent-7" and "the caller wants another one" in entry["words"]
    audit = rows(ledger, "SELECT actor, reason FROM audit_entries WHERE action = 'redemption.cancelling'")
    assert audit == [("staff:person-of-agent-7", "the caller wants another one")]
    refund = rows(ledger, "SELECT on_behalf_of, reason FROM audit_entries WHERE action = 'redemption.refunded'")
    assert refund == [("staff:person-of-agent-7", "the caller wants another one")]


@pytest.mark.proves("A1")
async def test_staff_who_are_shown_a_redemption_because_there_is_nothing_to_cancel_any_more_are_on_record(
    shop: Shop, ledger: TestDatabase
) -> None:
    lamp, agent = await shop.order(), shop.suite.issuer.staff("agent", subject="agent-7")
    assert (await shop.cancel(lamp)).status_code == 200
    looks = "SELECT actor, after ->> 'what' FROM audit_entries WHERE action = 'customer.looked_up'"
    assert rows(ledger, looks) == [], "customers see their own"
    assert (await shop.cancel(lamp, "the caller asked", who=agent)).json()["state"] == "cancelled"
    assert rows(ledger, looks) == [("staff:person-of-agent-7", f"redemption:{lamp}")]


@pytest.mark.proves("R8", "X3")
async def test_the_customer_reads_that_staff_cancelled_and_neither_who_nor_their_words(shop: Shop) -> None:
    lamp, agent = await shop.order(), shop.suite.issuer.staff("agent", subject="agent-7")
    assert (await shop.cancel(lamp, "caller was rude", who=agent)).status_code == 200
    path, owner = f"/v1/redemptions/{lamp}", shop.suite.issuer.customer(shop.customer)
    said = {"zh-Hans": "由我行工作人员办理", "zh-Hant": "由我行工作人員辦理", "en": "By our staff"}
    for language, words in said.items():
        seen = await shop.suite.client.get(path, headers={**owner, "Accept-Language": language})
        [entry] = [entry for entry in seen.json()["timeline"] if entry["kind"] == "cancelling"]
        assert entry["actor"] == "staff" and words in entry["words"]
        assert "rude" not in seen.text and "agent-7" not in seen.text
    again = await shop.cancel(lamp)
    assert again.status_code == 200 and "rude" not in again.text and "agent-7" not in again.text
    assert "rude" in (await shop.suite.client.get(path, headers=agent)).text, "staff see it"


@pytest.mark.proves("R6", "G19", "G22", "X3")
@pytest.mark.parametrize("fault", ["down", "lost-request", "lost-answer"])
async def test_what_is_not_decided_in_time_answers_202_and_is_decided_by_the_worker(
    shop: Shop, quick: None, fault: str
) -> None:
    lamp = await shop.order()
    shop.suite.network.faults["fulfillment.test"] = fault
    answer = await shop.cancel(lamp, key="k1")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    assert answer.headers["location"] == f"/v1/redemptions/{lamp}"
    assert await shop.balance() == (5000 - LAMP_POINTS, 0), "nothing is given back before it is certain"
    assert code_of(await shop.cancel(lamp, key="k1")) == "idempotency-in-flight"
    joined = await shop.cancel(lamp, key="k2")
    assert joined.status_code == 202
    shop.suite.network.faults.clear()
    rested(shop.suite.redemption.state.parts)
    execute(
        shop.database_of("redemption").superuser_url, "UPDATE idempotency_keys SET created_at = created_at - interval '4 s'"
    )
    still = await shop.cancel(lamp, key="k1")
    assert (still.status_code, still.json()["state"]) == (202, "cancelling")
    await mended(shop.suite, shop.database_of("redemption"))
    ends = [await shop.cancel(lamp, key=key) for key in ("k1", "k1", "k2")]
    assert {(end.status_code, end.json()["state"]) for end in ends} == {(200, "cancelled")}
    assert ends[0].content == ends[1].content
    assert await shop.balance() == (5000, 0)
    untouched(shop)


@pytest.mark.proves("R6", "G33")
async def test_the_request_waits_three_seconds_and_no_longer(shop: Shop) -> None:
    assert cancelling.ANSWER_SECONDS == 3.0
    lamp = await shop.order()
    shop.suite.network.hooks["fulfillment.test"] = lambda: asyncio.sleep(4.0)
    started = asyncio.get_running_loop().time()
    answer = await shop.cancel(lamp, key="k1")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    assert asyncio.get_running_loop().time() - started < 4.0
    shop.suite.network.hooks.clear()
    async with asyncio.timeout(20):
        while (await shop.seen(lamp))["state"] != "cancelled":
            await asyncio.sleep(0.1)
    assert (await shop.cancel(lamp, key="k1")).status_code == 200


@pytest.mark.proves("G18", "G20", "X3")
async def test_a_stale_worker_decides_nothing(shop: Shop, quick: None, ledger: TestDatabase) -> None:
    lamp = await shop.order()
    shop.suite.network.faults["fulfillment.test"] = "down"
    assert (await shop.cancel(lamp)).status_code == 202
    shop.suite.network.faults.clear()
    parts = shop.suite.redemption.state.parts
    rested(parts)
    claims = []
    for _ in range(2):  # the first lease is over, and another one takes it
        hurry(ledger)
        async with parts.database.transaction() as conn:
            claims += await parts.tasks.claim(conn, ["cancel"], 10)
    stale, fresh = claims
    assert await cancel_claimed(parts, [stale]) == {}
    assert (await shop.seen(lamp))["state"] == "cancelling"
    assert await cancel_claimed(parts, [fresh]) == {}
    await cancel_claimed(parts, [stale])
    assert (await shop.seen(lamp))["state"] == "cancelled"
    assert one(ledger, "SELECT count(*) FROM postings WHERE kind = 'refunded'") == 1


@pytest.mark.proves("G18", "G20")
async def test_a_decision_that_waits_for_a_redemption_holds_no_task(shop: Shop, quick: None, ledger: TestDatabase) -> None:
    """Whoever asks holds the redemption when they write the task: the other way about they would wait in a circle."""
    lamp = await shop.order()
    shop.suite.network.faults["fulfillment.test"] = "down"
    assert (await shop.cancel(lamp)).status_code == 202
    shop.suite.network.faults.clear()
    parts = shop.suite.redemption.state.parts
    rested(parts)
    hurry(ledger)
    async with parts.database.transaction() as conn:
        claims = await parts.tasks.claim(conn, ["cancel"], 10)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(ledger.superuser_url) as asking:
        asking.execute("SELECT FROM redemptions WHERE id = %s FOR NO KEY UPDATE", [lamp])
        deciding = asyncio.create_task(cancel_claimed(parts, claims))
        async with asyncio.timeout(5):
            while one(ledger, waits) == 0:
                await asyncio.sleep(0.01)
        asking.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE NOWAIT", [claims[0].id])
        asking.rollback()
        assert await deciding == {}
    assert (await shop.seen(lamp))["state"] == "cancelled"


@pytest.mark.proves("G18", "G34")
async def test_the_report_of_a_cancellation_may_come_before_its_answer(shop: Shop, quick: None) -> None:
    lamp = await shop.order()
    shop.suite.network.faults["fulfillment.test"] = "lost-answer"
    assert (await shop.cancel(lamp, key="k1")).status_code == 202
    await shop.suite.fulfillment_worker.drain()  # it tells that the parcel was stopped
    assert (await shop.seen(lamp))["state"] == "cancelled"
    assert await shop.balance() == (5000, 0)
    shop.suite.network.faults.clear()
    await mended(shop.suite, shop.database_of("redemption"))
    assert (await shop.cancel(lamp, key="k1")).status_code == 200
    kinds = await shop.kinds(lamp)
    assert kinds.count("cancelled") == 1 == kinds.count("courier_cancelled")


@pytest.mark.proves("K2", "G35")
async def test_a_limit_comes_back_on_the_day_on_which_it_was_counted(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order((LAMP, 2))
    keys = dict(rows(ledger, "SELECT limit_key, taken FROM limit_counters WHERE taken > 0"))
    assert sorted(keys.values()) == [2, 2]
    [day_key] = [key for key in keys if key.count(":") == 2]
    execute(ledger.owner_url, "ALTER TABLE redemption_lines DISABLE TRIGGER append_only")
    execute(
        ledger.superuser_url,
        "UPDATE limit_counters SET limit_key = %s WHERE limit_key = %s",
        day_key[:-10] + "2026-01-05",
        day_key,
    )
    execute(
        ledger.superuser_url, "UPDATE redemption_lines SET limit_keys = replace(limit_keys::text, %s, '2026-01-05')::jsonb",
        day_key[-10:],
    )  # fmt: skip
    execute(ledger.owner_url, "ALTER TABLE redemption_lines ENABLE TRIGGER append_only")
    other = await shop.order((LAMP, 1))
    assert (await shop.cancel(lamp)).status_code == 200
    left = {key[-10:]: taken for key, taken in rows(ledger, "SELECT limit_key, taken FROM limit_counters") if "2026-" in key}
    assert left["2026-01-05"] == 0 and left[day_key[-10:]] == 1
    assert (await shop.cancel(other)).status_code == 200


@pytest.mark.proves("G7", "G20")
async def test_the_database_refuses_what_the_code_would_never_do(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order((LAMP, 2))
    await shop.cancel(lamp)
    document = one(ledger, "SELECT id FROM returns")
    never: list[tuple[str, Any]] = [
        ("UPDATE holds SET refunded = refunded + 1", ()),
        ("UPDATE holds SET refunded = 0", ()),
        ("UPDATE holds SET state = 'held'", ()),
        ("UPDATE redemptions SET state = 'delivering'", ()),
        ("UPDATE returns SET state = 'refused'", ()),
        ("UPDATE returns SET reason = 'another'", ()),
        ("UPDATE redemption_deliveries SET fulfillment_version = 0", ()),
        ("UPDATE redemption_deliveries SET way = 'pickup'", ()),
        (
            "INSERT INTO return_lines (return_id, number, redemption_id, quantity, points) "
            "SELECT id, 1, redemption_id, 1, 700 FROM returns WHERE id = %s ON CONFLICT DO NOTHING", (document,),
        ),
        ("DELETE FROM return_lines", ()),
    ]  # fmt: skip
    for statement, values in never:
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)):
            execute(ledger.superuser_url, statement, *values)
