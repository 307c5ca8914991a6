"""Reservations over HTTP on a real database."""

import asyncio
import datetime as dt
import json
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from services.catalog.campaigns.domain import offer_id
from shared import failpoints
from shared.clock import SetClock
from tests.support.catalog import (
    ACTOR,
    CAMPAIGN,
    Catalog,
    batch_row,
    campaign_row,
    offer_row,
    reward_row,
    row,
    running_catalog,
    wish,
    workbook_cells,
)
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


def codes(outcome: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in outcome["reasons"]]


async def reserve(catalog: Catalog, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
    return await catalog.put("reservations", wishes)


async def settle(catalog: Catalog, verb: str, *ids: str) -> list[str]:
    return [found["outcome"] for found in await catalog.put(f"reservations/{verb}", [{"id": one} for one in ids])]


def counters(database: TestDatabase, query: str) -> tuple[Any, ...]:
    with psycopg.connect(database.superuser_url) as conn:
        found = conn.execute(query).fetchone()
        assert found is not None
        return found


STOCK = "SELECT received, held, consumed FROM stock_batches"


@pytest.mark.proves("K7", "G11")
async def test_a_unit_is_held_then_consumed_and_stays_so_when_asked_again(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    one = wish()
    assert await reserve(catalog, one) == [{"id": one["id"], "outcome": "held", "reasons": []}]
    assert counters(catalog_database, STOCK) == (100, 1, 0)
    assert await settle(catalog, "consumptions", one["id"], one["id"]) == ["consumed", "consumed"]
    assert await settle(catalog, "consumptions", one["id"]) == ["consumed"]
    assert await settle(catalog, "releases", one["id"]) == ["consumed"]
    assert counters(catalog_database, STOCK) == (100, 0, 1)
    assert (await reserve(catalog, one))[0]["outcome"] == "consumed"


@pytest.mark.proves("K7", "G11")
async def test_a_released_unit_can_be_had_again_and_releasing_twice_gives_back_once(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=1)])
    one = wish()
    await reserve(catalog, one)
    assert await settle(catalog, "releases", one["id"], one["id"]) == ["released", "released"]
    assert await settle(catalog, "releases", one["id"]) == ["released"]
    assert await settle(catalog, "consumptions", one["id"]) == ["released"]
    assert counters(catalog_database, STOCK) == (1, 0, 0)
    assert (await reserve(catalog, wish()))[0]["outcome"] == "held"
    assert counters(catalog_database, "SELECT count(*), sum(quantity) FROM stock_movements WHERE kind = 'released'") == (1, 1)


@pytest.mark.proves("G10")
async def test_a_reserve_that_comes_after_its_release_takes_nothing(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    late = wish()
    assert await settle(catalog, "releases", late["id"]) == ["released"]
    assert (await reserve(catalog, late))[0]["outcome"] == "released"
    assert counters(catalog_database, STOCK) == (100, 0, 0)
    assert counters(catalog_database, "SELECT count(*) FROM stock_movements WHERE kind <> 'received'") == (0,)


async def test_consuming_what_was_never_reserved_is_unknown_and_leaves_no_trace(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    assert await settle(catalog, "consumptions", str(uuid.uuid4())) == ["unknown"]
    assert counters(catalog_database, "SELECT count(*) FROM reservations") == (0,)


async def test_a_repeated_wish_gets_the_same_answer_and_another_under_its_id_is_a_mismatch(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    one = wish()
    other = {**wish(("O1", 2)), "id": one["id"]}
    assert [o["outcome"] for o in await reserve(catalog, one, one, other)] == ["held", "held", "mismatch"]
    assert [o["outcome"] for o in await reserve(catalog, other, one)] == ["mismatch", "held"]
    assert counters(catalog_database, STOCK) == (100, 1, 0)


async def test_a_refusal_is_kept_and_answered_again_when_stock_has_come(catalog: Catalog) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=0)])
    one = wish()
    refused = await reserve(catalog, one)
    assert refused[0]["outcome"] == "refused"
    assert refused[0]["reasons"] == [{"code": "out-of-stock", "line": 1, "facts": {"left": 0}}]
    version = await catalog.open(stock_batches=[batch_row(quantity=5)])
    assert await reserve(catalog, one) == refused
    assert version == 2
    assert (await reserve(catalog, wish()))[0]["outcome"] == "held", "the offer is the same, so its version is too"
    assert await settle(catalog, "releases", one["id"]) == ["released"]
    assert await settle(catalog, "consumptions", one["id"]) == ["released"]


@pytest.mark.proves("G9")
async def test_an_item_gets_all_of_its_lines_or_nothing(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open(
        rewards=[reward_row("R1"), reward_row("R2")],
        offers=[offer_row("O1", "R1"), offer_row("O2", "R2")],
        stock_batches=[batch_row("B1", "R1", 5), batch_row("B2", "R2", 1)],
    )
    greedy, modest = wish(("O1", 3), ("O2", 2)), wish(("O1", 3), ("O2", 1))
    outcomes = await reserve(catalog, greedy, modest)
    assert [o["outcome"] for o in outcomes] == ["refused", "held"]
    assert outcomes[0]["reasons"] == [{"code": "out-of-stock", "line": 2, "facts": {"left": 1}}]
    assert counters(catalog_database, "SELECT sum(held) FROM stock_batches") == (4,)


@pytest.mark.proves("K7")
async def test_a_line_draws_on_several_batches_and_what_expires_first_goes_first(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(
        stock_batches=[
            batch_row("B1", quantity=3),
            batch_row("B2", quantity=2, expires_on="2029-12-31"),
            batch_row("B3", quantity=9, expires_on="2026-01-02"),
        ]
    )
    one = wish(("O1", 4))
    assert (await reserve(catalog, one))[0]["outcome"] == "held"
    per_batch = "SELECT array_agg(held ORDER BY code), array_agg(consumed ORDER BY code) FROM stock_batches"
    assert counters(catalog_database, per_batch) == ([2, 2, 0], [0, 0, 0]), "B3 is past its day"
    assert codes((await reserve(catalog, wish(("O1", 2))))[0]) == ["out-of-stock"]
    await settle(catalog, "consumptions", one["id"])
    assert counters(catalog_database, per_batch) == ([0, 0, 0], [2, 2, 0])


@pytest.mark.proves("K2")
async def test_a_quota_ends_and_comes_back_with_a_release(catalog: Catalog) -> None:
    await catalog.open(offers=[offer_row(quota_total=2)])
    first, second, third = wish(), wish(), wish()
    outcomes = await reserve(catalog, first, second, third)
    assert [o["outcome"] for o in outcomes] == ["held", "held", "refused"]
    assert outcomes[2]["reasons"] == [{"code": "quota-exhausted", "line": 1, "facts": {"left": 0}}]
    await settle(catalog, "releases", first["id"])
    assert (await reserve(catalog, wish()))[0]["outcome"] == "held"


@pytest.mark.proves("K2")
async def test_a_daily_quota_begins_anew_on_the_banks_next_day_and_yesterdays_release_does_not_widen_it(
    catalog_database: TestDatabase, issuer: Issuer
) -> None:
    evening = dt.datetime(2026, 11, 22, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    clock = SetClock(evening)
    async with running_catalog(catalog_database, issuer, clock=clock) as catalog:
        await catalog.open(offers=[offer_row(quota_per_day=1)])
        yesterday = wish()
        assert (await reserve(catalog, yesterday))[0]["outcome"] == "held"
        assert codes((await reserve(catalog, wish()))[0]) == ["quota-exhausted"]
        clock.advance(dt.timedelta(seconds=1))
        assert (await reserve(catalog, wish()))[0]["outcome"] == "held"
        await settle(catalog, "releases", yesterday["id"])
        assert codes((await reserve(catalog, wish()))[0]) == ["quota-exhausted"]


@pytest.mark.proves("C5")
async def test_the_budget_for_rewards_is_committed_by_holding_and_spent_by_consuming(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(budget=[row("budget", line="procurement", amount_minor=8_100)])
    first, second, third = wish(), wish(), wish()  # 4,000 a unit
    outcomes = await reserve(catalog, first, second, third)
    assert [codes(o) for o in outcomes] == [[], [], ["budget-exhausted"]]
    await settle(catalog, "consumptions", first["id"])
    budget = "SELECT committed_minor, spent_minor FROM budget_lines"
    assert counters(catalog_database, budget) == (4_000, 4_000)
    await settle(catalog, "releases", second["id"])
    assert counters(catalog_database, budget) == (0, 4_000)
    assert (await reserve(catalog, wish()))[0]["outcome"] == "held"


@pytest.mark.proves("C1", "K2")
async def test_an_offer_that_changed_is_refused_with_its_new_price(catalog: Catalog) -> None:
    await catalog.open()
    await catalog.open(offers=[offer_row(price_points=1200)])
    outcome = (await reserve(catalog, wish()))[0]
    assert outcome["reasons"] == [{"code": "offer-changed", "line": 1, "facts": {"offer_version": 2, "price_points": 1200}}]
    assert (await reserve(catalog, wish(version=2)))[0]["outcome"] == "held"


async def test_what_is_not_open_is_refused_with_the_reason(catalog: Catalog) -> None:
    await catalog.open(offers=[offer_row(closes_on="2026-01-31"), offer_row("O2")])
    await catalog.load(workbook_cells(offers=[offer_row(closes_on="2026-01-31"), offer_row("O2"), offer_row("O3")]))
    strange = {**wish(), "campaign": "NOWHERE"}
    wishes = [wish(("O1", 1)), wish(("O3", 1), version=2), wish(("O9", 1)), strange]
    assert [codes(o) for o in await reserve(catalog, *wishes)] == [["offer-not-open"]] * 4


async def test_a_campaign_takes_reservations_on_its_days_only(catalog: Catalog) -> None:
    await catalog.open(campaign=[campaign_row(closes_on="2026-01-31")])
    assert codes((await reserve(catalog, wish()))[0]) == ["campaign-not-open"]


@pytest.mark.proves("X3")
@pytest.mark.parametrize(
    ("verb", "point", "done"),
    [
        ("reservations", "reserve.before_commit", False),
        ("reservations", "reserve.after_commit", True),
        ("reservations/releases", "release.before_commit", False),
        ("reservations/consumptions", "consume.before_commit", False),
    ],
)
async def test_a_call_that_breaks_off_has_happened_whole_or_not_at_all_and_its_repeat_settles_it(
    catalog: Catalog, catalog_database: TestDatabase, verb: str, point: str, done: bool
) -> None:
    await catalog.open()
    one = wish()
    if verb != "reservations":
        await reserve(catalog, one)
    before = counters(catalog_database, STOCK)
    failpoints.arm(**{point.replace(".", "__"): "raise"})
    try:
        body = {"actor": ACTOR, "items": [one if verb == "reservations" else {"id": one["id"]}]}
        answer = await catalog.client.put(f"/internal/v1/{verb}", json=body, headers=catalog.issuer.service())
    finally:
        failpoints.arm()
    assert answer.status_code == 500
    assert (counters(catalog_database, STOCK) != before) is done
    assert await catalog.breaks() == []
    again = await catalog.put(verb, body["items"])
    assert again[0]["outcome"] == {"reservations": "held", "reservations/releases": "released"}.get(verb, "consumed")
    moved = counters(catalog_database, "SELECT count(*) FROM stock_movements WHERE reservation_id IS NOT NULL")
    assert moved == (1 if verb == "reservations" else 2,)


@pytest.mark.proves("G46", "X5")
async def test_every_change_of_stock_names_who_and_why_in_the_same_commit(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    one = wish()
    await reserve(catalog, one)
    await settle(catalog, "releases", one["id"])
    with psycopg.connect(catalog_database.superuser_url) as conn:
        found = conn.execute(
            "SELECT action, actor, on_behalf_of, channel, reason FROM audit_entries WHERE subject = %s ORDER BY id",
            [f"reservation:{one['id']}"],
        ).fetchall()
        assert found == [
            (f"reservation.{what}", "service:redemption", "customer:customer-00001", "app", "a test")
            for what in ("held", "released")
        ]
        conn.execute("REVOKE INSERT ON audit_entries FROM catalog_service")
    body = {"actor": {"subject": "a", "kind": "b", "channel": "c"}, "items": [wish()]}
    answer = await catalog.client.put("/internal/v1/reservations", json=body, headers=catalog.issuer.service())
    assert answer.status_code == 500
    assert counters(catalog_database, STOCK) == (100, 0, 0)


async def test_reservations_are_listed_by_id_page_by_page(catalog: Catalog) -> None:
    await catalog.open()
    wishes = [wish() for _ in range(5)]
    await reserve(catalog, *wishes)
    seen: list[str] = []
    after = None
    while True:
        query = {"limit": "2", **({"after": after} if after else {})}
        headers = catalog.issuer.service("reconcile", "reconcile:read")
        page = (await catalog.client.get("/internal/v1/reservations", params=query, headers=headers)).json()
        seen += [item["id"] for item in page["items"]]
        assert all(item["campaign"] == CAMPAIGN and item["state"] == "held" for item in page["items"])
        after = page["next"]
        if after is None:
            break
    assert seen == sorted(w["id"] for w in wishes)


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    "spoiled",
    [
        {"extra": 1},
        {"lines": []},
        {"lines": [{"number": 1, "offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1, "quantity": 0}]},
        {"lines": [{"number": 1, "offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1, "quantity": 1.5}]},
        {"lines": [{"number": 1, "offer_id": str(offer_id(CAMPAIGN, "O1")), "offer_version": 1, "quantity": 1}] * 2},
        {"campaign": "'; DROP TABLE reservations"},
    ],
)
async def test_a_body_that_is_not_in_order_is_refused_whole(
    catalog: Catalog, catalog_database: TestDatabase, spoiled: dict[str, Any]
) -> None:
    await catalog.open()
    body = {"actor": {"subject": "a", "kind": "b", "channel": "c"}, "items": [wish(), {**wish(), **spoiled}]}
    answer = await catalog.client.put("/internal/v1/reservations", json=body, headers=catalog.issuer.service())
    assert answer.status_code == 422, answer.text
    assert counters(catalog_database, STOCK) == (100, 0, 0)


@pytest.mark.proves("G40")
async def test_nobody_but_a_service_reserves(catalog: Catalog) -> None:
    await catalog.open()
    for headers in (catalog.issuer.customer(), catalog.issuer.staff("campaign_manager"), catalog.issuer.till()):
        for path in ("", "/releases", "/consumptions"):
            answer = await catalog.client.put(f"/internal/v1/reservations{path}", json={}, headers=headers)
            assert answer.status_code == 403


async def test_a_caller_that_goes_away_does_not_stop_the_set(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    calls = [asyncio.create_task(reserve(catalog, wish())) for _ in range(4)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    held = counters(catalog_database, STOCK)[1]
    assert held in (3, 4)
    assert await catalog.breaks() == []


@pytest.mark.proves("K7", "R1")
async def test_a_full_set_of_the_longest_redemptions_is_taken_in_one_call(catalog: Catalog) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=10_000)])
    wishes = [wish(*([("O1", 10)] * 10)) for _ in range(64)]
    assert len(json.dumps(wishes)) > 64 * 1024
    assert {outcome["outcome"] for outcome in await catalog.put("reservations", wishes)} == {"held"}
