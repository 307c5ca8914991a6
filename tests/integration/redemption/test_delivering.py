"""Goods by courier and at a branch: chosen, snapshotted, handed over, followed, and given back when they come back."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from services.fulfillment.parcels.waiting import PICKUP_EXPIRY
from shared.clock import SetClock
from shared.tasks import NewTask
from tests.integration.redemption.conftest import Databases
from tests.support.goods import KETTLE, LAMP, LAMP_POINTS, VOUCHER, VOUCHER_POINTS, Shop
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, hurry, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


REDEEMING, FULFILLING = 29, 12
"""Statements of a redemption of e-vouchers alone: of its two commits, and of the commit that has it handed out."""


@pytest.fixture
async def shop(bare_suite: Suite, databases: Databases) -> Shop:
    return await Shop(bare_suite, databases).open()


@pytest.mark.proves("F1", "R8", "R2")
async def test_a_lamp_goes_by_courier_and_the_timeline_tells_every_step(shop: Shop) -> None:
    lamp = await shop.order()
    assert (await shop.seen(lamp))["state"] == "delivering"
    assert await shop.balance() == (5000 - LAMP_POINTS, 0)
    assert shop.stock() == (1, 0), "nothing has gone out yet"
    await shop.suite.drain()
    await shop.suite.drain()
    number = shop.parcel(lamp)[1]
    assert shop.stock() == (0, 1)
    await shop.happens(lamp, "picked_up", "out_for_delivery", "delivery_failed", "delivered")
    seen = await shop.seen(lamp)
    assert seen["state"] == "fulfilled" and seen["returns"] == []
    kinds = [entry["kind"] for entry in seen["timeline"]]
    assert kinds[:3] == ["accepted", "confirmed", "courier_preparing"] and kinds[-1] == "courier_delivered"
    told = {entry["kind"]: entry["words"] for entry in seen["timeline"]}
    assert number in told["courier_dispatched"] and number in told["courier_delivered"]
    [part] = seen["delivery"]["parts"]
    assert (part["way"], part["state"], part["tracking_number"]) == ("courier", "delivered", number)
    assert not seen["cancellable"]


@pytest.mark.proves("F2", "R8")
async def test_a_lamp_waits_at_the_branch_and_the_timeline_names_branch_and_last_day(shop: Shop) -> None:
    lamp = await shop.order((LAMP, 2), way="pickup")
    await shop.suite.drain()
    await shop.suite.drain()
    [(parcel,)] = rows(shop.database_of("fulfillment"), "SELECT id::text FROM parcels WHERE fulfillment_id = %s", lamp)
    counter = shop.suite.issuer.staff("branch", branch="B001")
    assert (await shop.suite.tills.put(f"/v1/parcels/{parcel}/arrival", headers=counter)).status_code == 200
    await shop.suite.drain()
    await shop.suite.drain()
    seen = await shop.seen(lamp)
    assert seen["state"] == "delivering"
    [ready] = [entry["words"] for entry in seen["timeline"] if entry["kind"] == "pickup_ready"]
    last_day = datetime.fromisoformat(seen["delivery"]["parts"][0]["ready_until"])
    assert "Branch B001" in ready and str(last_day.day) in ready and str(last_day.year) in ready
    code = (await shop.suite.tills.get(f"/v1/parcels/{parcel}/pickup-code", headers=shop.me)).json()["code"]
    handed = await shop.suite.tills.put(f"/v1/parcels/{parcel}/handover", json={"code": code}, headers=counter)
    assert handed.status_code == 200
    await shop.suite.drain()
    await shop.suite.drain()
    assert (await shop.seen(lamp))["state"] == "fulfilled"
    assert await shop.balance() == (5000 - 2 * LAMP_POINTS, 0)


@pytest.mark.proves("F1", "F3", "G3")
async def test_a_voucher_and_a_lamp_are_one_redemption_of_two_parts(shop: Shop) -> None:
    both = await shop.order((VOUCHER, 1), (LAMP, 1))
    seen = await shop.seen(both)
    assert (seen["state"], sorted(part["way"] for part in seen["delivery"]["parts"])) == ("delivering", ["courier", "wallet"])
    await shop.suite.worker.drain()
    assert (shop.stock(VOUCHER), shop.stock(LAMP)) == ((0, 1), (0, 1)), "consumed when the first part went out"
    await shop.suite.drain()
    await shop.happens(both, "picked_up", "returned")
    seen = await shop.seen(both)
    assert seen["state"] == "fulfilled", "the customer has the voucher"
    [document] = seen["returns"]
    assert (document["kind"], document["points"], document["lines"]) == (
        "came_back", LAMP_POINTS, [{"number": 2, "quantity": 1, "points": LAMP_POINTS}],
    )  # fmt: skip
    assert await shop.balance() == (5000 - VOUCHER_POINTS, 0)


@pytest.mark.proves("X4", "F1", "F2")
async def test_what_cannot_be_delivered_is_refused_by_field_and_leaves_no_trace(shop: Shop, ledger: TestDatabase) -> None:
    courier, pickup = shop.by_courier(), {"way": "pickup", "branch": "B001"}
    elsewhere = {"way": "courier", "address_id": str(uuid.uuid4())}
    wrong: list[tuple[list[tuple[str, int]], dict[str, Any] | None, str, str]] = [
        ([(LAMP, 1)], None, "delivery-required", "delivery"),
        ([(VOUCHER, 1)], courier, "delivery-not-needed", "delivery"),
        ([(LAMP, 1), (KETTLE, 1)], courier, "delivery-not-offered", "delivery.way"),
        ([(LAMP, 1)], elsewhere, "address-unknown", "delivery.address_id"),
        ([(LAMP, 1)], {"way": "pickup", "branch": "B009"}, "branch-unknown", "delivery.branch"),
        ([(LAMP, 1)], {"way": "pickup", "branch": "B002"}, "branch-unknown", "delivery.branch"),
    ]
    for lines, delivery, code, field in wrong:
        answer = await shop.redeem(*lines, delivery=delivery)
        assert (answer.status_code, code_of(answer)) == (422, code)
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    refused = await shop.redeem((LAMP, 1), (KETTLE, 1), delivery=courier)
    assert (refused.json()["line"], refused.json()["ways"]) == (2, ["pickup"])
    for delivery in ({"way": "wallet"}, {"way": "courier"}, {**pickup, "address_id": str(uuid.uuid4())}, {"way": "pickup"}):
        answer = await shop.redeem(delivery=delivery)
        assert (answer.status_code, code_of(answer)) == (422, "validation-error"), delivery
    owner, address = shop.customer, shop.address_id
    await shop.new_customer()
    assert code_of(await shop.redeem(delivery={"way": "courier", "address_id": address})) == "address-unknown"
    shop.customer = owner
    assert one(ledger, "SELECT count(*) FROM redemptions") == 0 and one(ledger, "SELECT count(*) FROM idempotency_keys") == 0


@pytest.mark.proves("R7", "G27")
async def test_a_repeat_is_answered_though_the_address_is_gone_by_then(shop: Shop) -> None:
    first = await shop.redeem(delivery=shop.by_courier(), key="k1")
    assert first.status_code == 201
    assert (await shop.suite.client.delete(f"/v1/addresses/{shop.address_id}", headers=shop.me)).status_code == 204
    again = await shop.redeem(delivery=shop.by_courier(), key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    assert code_of(await shop.redeem(delivery=shop.by_courier(), key="k2")) == "address-unknown"
    await shop.suite.drain()
    assert (await shop.seen(first.json()["id"]))["state"] == "delivering", "it goes where it was to go"


@pytest.mark.proves("F2", "G33")
async def test_branches_are_remembered_and_old_ones_serve_while_fulfillment_is_away(shop: Shop) -> None:
    pickup = {"way": "pickup", "branch": "B001"}
    fulfillment = shop.suite.redemption.state.parts.fulfillment
    shop.suite.network.faults["fulfillment.test"] = "down"
    assert code_of(await shop.redeem(delivery=pickup)) == "dependency-unavailable"
    shop.suite.network.faults.clear()
    rested(shop.suite.redemption.state.parts)
    assert code_of(await shop.redeem(delivery=pickup)) == "201"
    assert code_of(await shop.redeem(delivery=pickup)) == "201"

    def asked() -> int:
        return sum(call[2] == "/internal/v1/branches" for call in shop.suite.network.calls)

    assert asked() == 2
    fulfillment._branches_until = 0.0  # a minute later
    shop.suite.network.faults["fulfillment.test"] = "down"
    assert code_of(await shop.redeem(delivery=pickup)) == "201"
    assert asked() == 3
    shop.suite.network.faults.clear()
    rested(shop.suite.redemption.state.parts)
    fulfillment._branches_until = 0.0
    assert code_of(await shop.redeem(delivery=pickup)) == "201"
    assert fulfillment._branches_tag


@pytest.mark.proves("G49", "X6", "F1")
async def test_where_a_redemption_goes_is_a_sealed_snapshot_and_fulfillment_gets_it(shop: Shop, ledger: TestDatabase) -> None:
    answer = await shop.redeem(delivery=shop.by_courier())
    await shop.put_address(shop.address_id, street="科技路 99 号")
    asked: list[dict[str, Any]] = []
    accept = shop.suite.redemption.state.parts.fulfillment._client.put

    async def overheard(path: str, body: Any) -> Any:
        asked.append(json.loads(json.dumps(body, default=str)))
        return await accept(path, body)

    shop.suite.redemption.state.parts.fulfillment._client.put = overheard
    await shop.suite.worker.drain()
    [item] = asked[0]["items"]
    assert item["id"] == answer.json()["id"]
    assert item["delivery"] == {
        "way": "courier", "contact": {"name": "李小明", "phone": "+8613900005678", "language": "zh_hans"},
        "address": {
            "province": "广东省", "city": "深圳市", "district": "南山区", "street": "科技路 1 号", "postcode": "518000",
        },
    }  # fmt: skip
    assert [set(line) for line in item["lines"]] == [{"number", "quantity", "kind", "reward"}]
    kept = str(rows(ledger, "SELECT * FROM redemption_deliveries")) + str(rows(ledger, "SELECT facts FROM redemption_events"))
    kept += str(rows(ledger, "SELECT payload FROM tasks")) + str(rows(ledger, "SELECT body FROM idempotency_keys"))
    assert all(value not in kept for value in ("李小明", "科技路", "13900005678", "南山区"))


@pytest.mark.proves("F1", "F2", "P2", "G6", "K7")
@pytest.mark.parametrize(
    ("events", "kind", "stock"),
    [(("picked_up", "returned"), "came_back", (0, 0)), (("picked_up", "lost"), "lost", (0, 1))],
)
async def test_a_parcel_that_comes_back_or_is_lost_gives_points_back_and_places_not(
    shop: Shop, events: tuple[str, ...], kind: str, stock: tuple[int, int]
) -> None:
    lamp = await shop.order((LAMP, 2))
    await shop.suite.drain()
    await shop.happens(lamp, *events)
    seen = await shop.seen(lamp)
    assert seen["state"] == "returned"
    [document] = seen["returns"]
    assert (document["kind"], document["state"], document["points"]) == (kind, "refunded", 2 * LAMP_POINTS)
    assert kind in [entry["kind"] for entry in seen["timeline"]]
    assert await shop.balance() == (5000, 0)
    assert shop.limits() == [2, 2], "limits come back on a cancellation alone"
    held, consumed = shop.stock()
    assert (held, consumed) == (stock[0], stock[1] * 2)
    statement = await shop.suite.client.get(
        f"/v1/customers/{seen['customer_id']}/points/statement", headers={**shop.me, "Accept-Language": "en"}
    )
    newest = statement.json()["items"][0]
    assert (newest["kind"], newest["points"], newest["words"]) == (
        "refunded", 2 * LAMP_POINTS, "Points of a redemption given back",
    )  # fmt: skip


@pytest.mark.proves("F2", "G6")
async def test_a_parcel_that_nobody_collects_comes_back_and_expired_points_get_grace(
    databases: Callable[[str], TestDatabase], issuer: Issuer
) -> None:
    clock = SetClock(datetime(2026, 6, 1, 4, tzinfo=UTC))
    async with running_suite(databases, issuer, clock=clock) as suite:
        shop = await Shop(suite, databases).open()
        await shop.new_customer(5000, expires_on="2026-06-05")
        lamp = await shop.order(way="pickup")
        await suite.drain()
        await suite.drain()
        [(parcel,)] = rows(databases("fulfillment"), "SELECT id::text FROM parcels WHERE fulfillment_id = %s", lamp)
        counter = issuer.staff("branch", branch="B001")
        assert (await suite.tills.put(f"/v1/parcels/{parcel}/arrival", headers=counter)).status_code == 200
        clock.advance(timedelta(days=16))
        for service in ("fulfillment", "redemption"):
            hurry(databases(service))
        parts = suite.fulfillment.state.parts
        async with parts.database.transaction() as conn:
            await parts.tasks.add(conn, [NewTask(kind=PICKUP_EXPIRY, run_at=datetime(2026, 6, 1, tzinfo=UTC))])
        for _ in range(3):
            hurry(databases("fulfillment"))
            await suite.drain()
        seen = await shop.seen(lamp)
        assert (seen["state"], seen["returns"][0]["kind"]) == ("returned", "not_collected")
        lots = rows(
            databases("redemption"),
            "SELECT source, remaining, expires_on::text FROM lots l JOIN accounts a ON a.id = l.account_id "
            "WHERE a.customer_id = %s ORDER BY source", uuid.UUID(seen["customer_id"]),
        )  # fmt: skip
        assert ("grace", LAMP_POINTS, "2026-07-17") in lots


@pytest.mark.proves("G34", "G19")
async def test_reports_that_never_come_are_made_up_for_by_our_own_look(shop: Shop) -> None:
    lamp = await shop.order()
    shop.suite.network.faults["redemption.test"] = "down"
    await shop.suite.fulfillment_worker.drain()
    number = shop.parcel(lamp)[1]
    await shop.suite.outside.courier.happen(number, "picked_up", "delivered")
    await shop.suite.outside.courier.tell()
    await shop.suite.fulfillment_worker.drain()
    assert (await shop.seen(lamp))["state"] == "delivering"
    hurry(shop.database_of("redemption"))
    await shop.suite.worker.drain()
    assert (await shop.seen(lamp))["state"] == "fulfilled"
    shop.suite.network.faults.clear()
    hurry(shop.database_of("fulfillment"))
    await mended(shop.suite, shop.database_of("redemption"))
    kinds = await shop.kinds(lamp)
    assert len(kinds) == len(set(kinds)), "told again, it is not told twice"


@pytest.mark.proves("G34")
async def test_reports_doubled_late_and_unknown_change_nothing(
    databases: Databases, issuer: Issuer, ledger: TestDatabase
) -> None:
    """Told by the test in fulfillment's place, which knows nothing of it: so the services are not compared."""
    async with running_suite(databases, issuer, check=False) as suite:
        await _hear(await Shop(suite, databases).open(), ledger)


async def _hear(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order()

    async def put(*items: dict[str, Any], who: str = "fulfillment") -> list[str]:
        actor = {"subject": "fulfillment", "kind": "service", "channel": "worker", "reason": ""}
        answer = await shop.suite.client.put(
            "/internal/v1/outcomes", json={"actor": actor, "items": list(items)}, headers=shop.suite.issuer.service(who)
        )
        assert answer.status_code == 200, answer.text
        return [item["outcome"] for item in answer.json()["items"]]

    def item(version: int, state: str, redemption: str = lamp, **more: Any) -> dict[str, Any]:
        part = {"way": "courier", "state": state, "lines": [1], "at": "2026-06-01T12:00:00+08:00", **more}
        return {"id": redemption, "version": version, "parts": [part]}

    sent = item(7, "dispatched", carrier="Express", tracking_number="X-7")
    assert await put(sent, item(9, "lost"), item(1, "preparing", str(uuid.uuid4()))) == ["taken", "taken", "unknown"]
    assert await put(item(9, "lost"), item(8, "delivered")) == ["older", "older"]
    assert await put(item(10, "lost")) == ["taken"], "a newer version of the same"
    seen = await shop.seen(lamp)
    assert (seen["state"], len(seen["returns"])) == ("returned", 1)
    assert await shop.balance() == (5000, 0)
    assert one(ledger, "SELECT count(*) FROM postings WHERE kind = 'refunded'") == 1
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*(put(item(11 + n % 3, "lost")) for n in range(12)))
    assert sorted({one for found in outcomes for one in found}) in (["older", "taken"], ["taken"])
    assert one(ledger, "SELECT count(*) FROM return_lines") == 1


@pytest.mark.proves("G34", "F1", "F2", "R6", "K2", "G6")
@pytest.mark.parametrize("way", ["courier", "pickup"])
@pytest.mark.parametrize("state", ["cancelled", "lost"])
async def test_what_stops_without_anybody_asking_gives_back_like_a_cancellation_and_what_is_lost_gives_points_back(
    databases: Databases, issuer: Issuer, way: str, state: str
) -> None:
    """Told by the test in fulfillment's place, as when the carrier refuses a parcel for good. It may say more than we know."""
    async with running_suite(databases, issuer, check=False) as suite:
        shop = await Shop(suite, databases).open()
        lamp, both = await shop.order((LAMP, 2), way=way), await shop.order((VOUCHER, 1), (LAMP, 1), way=way)
        await suite.worker.drain()
        actor = {"subject": "fulfillment", "kind": "service", "channel": "worker", "reason": ""}
        at = {"at": "2026-06-01T12:00:00+08:00", "colour": "blue"}
        items = [
            {"id": lamp, "version": 5, "parts": [{"way": way, "state": state, "lines": [1], **at}], "weight": 3},
            {
                "id": both,
                "version": 5,
                "parts": [
                    {"way": "wallet", "state": "issued", "lines": [1], **at},
                    {"way": way, "state": state, "lines": [2], **at},
                ],
            },
        ]
        headers = issuer.service("fulfillment")
        for _ in range(2):
            told = await suite.client.put("/internal/v1/outcomes", json={"actor": actor, "items": items}, headers=headers)
            assert told.status_code == 200, told.text
        alone, beside = await shop.seen(lamp), await shop.seen(both)
        is_stopped, kind = state == "cancelled", "cancellation" if state == "cancelled" else "lost"
        assert (alone["state"], beside["state"]) == ("cancelled" if is_stopped else "returned", "fulfilled")
        for seen, points in ((alone, 2 * LAMP_POINTS), (beside, LAMP_POINTS)):
            [document] = seen["returns"]
            assert (document["kind"], document["state"], document["points"]) == (kind, "refunded", points)
            assert f"{way}_{state}" in [entry["kind"] for entry in seen["timeline"]]
        assert await shop.balance() == (5000 - VOUCHER_POINTS, 0)
        assert shop.limits() == ([1] if is_stopped else [1, 3, 3])
        await suite.worker.drain()
        stock, places = (shop.stock(VOUCHER), shop.stock(LAMP)), "SELECT sum(total_taken) FROM quotas"
        assert stock == ((0, 1), (0, 0) if is_stopped else (0, 3)), "nobody has what was lost"
        assert one(databases("catalog"), places) == (1 if is_stopped else 4)


@pytest.mark.proves("R2")
async def test_e_vouchers_alone_cost_no_statement_more(shop: Shop) -> None:
    """The statements of the three commits of a redemption, counted: goods may cost more, vouchers may not."""
    await shop.redeem((VOUCHER, 1))  # what is remembered is remembered from here on
    await shop.suite.drain()
    statements: list[str] = []
    engine = shop.suite.redemption.state.parts.database.engine.sync_engine

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(" ".join(statement.split())[:60])

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert (await shop.redeem((VOUCHER, 1))).status_code == 201
        redeeming = list(statements)
        statements.clear()
        [lane] = [lane for lane in shop.suite.worker._lanes if lane.name == "fulfil"]
        assert await shop.suite.worker.run_once(lane) == 1
    finally:
        event.remove(engine, "before_cursor_execute", note)
    print("\n".join([*redeeming, "--", *statements]))
    assert (len(redeeming), len(statements)) == (REDEEMING, FULFILLING)
    assert not [
        one for one in [*redeeming, *statements] if "deliveries" in one or "return" in one.lower().split("returning")[0]
    ]
