"""Looking through the offers: filters, words, pages, languages, and bytes that everybody shares."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from samples.build import CODE, WORKBOOK
from services.catalog.browsing import store
from services.catalog.campaigns.domain import offer_id
from tests.support.catalog import CAMPAIGN, Catalog, batch_row, campaign_row, offer_row, reward_row, running_catalog, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(catalog_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Catalog]:
    """The sample campaign in force; what is left is looked up at every request."""
    monkeypatch.setattr("services.catalog.parts.SNAPSHOT_SECONDS_MAX", 0.0)
    async with running_catalog(catalog_database, issuer) as catalog:
        await catalog.load_bytes(WORKBOOK.read_bytes())
        await catalog.publish(1, CODE)
        yield catalog


async def get(catalog: Catalog, path: str, **query: Any) -> httpx.Response:
    headers = {**catalog.issuer.customer(), **query.pop("headers", {})}
    return await catalog.client.get(path, params=query, headers=headers)


async def names(catalog: Catalog, **query: Any) -> list[str]:
    answer = await get(catalog, f"/v1/campaigns/{CODE}/offers", **{"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


@pytest.mark.proves("K9")
async def test_pages_follow_each_other_by_price_without_gap_or_repeat(shop: Catalog) -> None:
    seen: list[tuple[int, str]] = []
    cursor: str | None = None
    while True:
        query = {"limit": 7, **({"cursor": cursor} if cursor else {})}
        page = (await get(shop, f"/v1/campaigns/{CODE}/offers", **query)).json()
        assert len(page["items"]) <= 7
        seen += [(item["price_points"], item["id"]) for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == 72
    assert seen == sorted(set(seen))


@pytest.mark.proves("K9")
async def test_offers_are_found_by_category_price_and_words_in_both_languages(shop: Catalog) -> None:
    assert len(await names(shop, category="dining")) == 9
    assert await names(shop, price_min=90000, lang="en") == [
        "Solid wood table voucher",
        "Made-to-measure qipao voucher",
        "Department store voucher, 1,000 yuan",
    ]
    assert await names(shop, price_max=1400) == ["便利店早餐券"]
    assert await names(shop, q="咖啡", category="dining") == ["手冲咖啡一杯"]
    assert await names(shop, q="火鍋", lang="zh-Hant") == ["鴛鴦火鍋雙人餐"], "traditional characters"
    assert await names(shop, q="火锅", lang="en") == ["Hot pot for two"], "any language finds, one is shown"
    assert await names(shop, q="COFFEE pour", lang="en") == ["A cup of pour-over coffee"]
    assert await names(shop, q="vacu", lang="en") == ["Robot vacuum voucher"], "the beginning of a word suffices"
    assert await names(shop, q="加油 汽油", price_min=18000) == ["加油券 200 元"]
    assert await names(shop, q="咖啡 火锅") == []
    assert "购物券" in "".join(await names(shop, q="券", category="shopping"))


@pytest.mark.proves("K9", "K1", "K2")
async def test_one_offer_is_shown_with_its_terms_in_the_callers_language(shop: Catalog) -> None:
    path = f"/v1/offers/{offer_id(CODE, 'O001')}"
    english = await get(shop, path, headers={"Accept-Language": "en-GB, zh;q=0.5"})
    assert english.headers["content-language"] == "en"
    found = english.json()
    assert found["name"] == "A cup of pour-over coffee"
    assert found["price_points"] == 2800
    assert found["limits"] == {"per_customer": 4, "per_day": 1}
    assert found["voucher"]["face_value"] == {"amount_minor": 3000, "currency": "CNY"}
    assert found["voucher"]["merchants"] == ["M001"]
    assert found["voucher"]["terms"].startswith("Valid for 60 days")
    assert "unit_cost_minor" not in english.text
    assert "supplier" not in english.text
    assert (await get(shop, path, lang="zh-Hant")).json()["voucher"]["terms"].startswith("自發放之日起 60 天")
    assert (await get(shop, path)).json()["category_name"] == "餐饮美食"
    assert (await get(shop, f"/v1/offers/{offer_id(CODE, 'O999')}")).status_code == 404


@pytest.mark.proves("K9", "K1")
async def test_offers_say_how_they_are_delivered(shop: Catalog) -> None:
    items = (await get(shop, f"/v1/campaigns/{CODE}/offers", limit=100, lang="en")).json()["items"]
    ways = {item["code"]: (item["kind"], item["delivery"], item["delivery_names"]) for item in items}
    assert ways["O001"] == ("e_voucher", ["wallet"], ["Into the wallet"])
    assert ways["O061"] == ("goods", ["courier", "pickup"], ["By courier", "Pickup at a branch"])
    assert ways["O062"] == ("goods", ["courier"], ["By courier"])
    assert ways["O067"] == ("goods", ["pickup"], ["Pickup at a branch"])
    goods = (await get(shop, f"/v1/offers/{offer_id(CODE, 'O061')}", lang="zh-Hant")).json()
    assert (goods["delivery_names"], goods["voucher"], goods["face_value"]) == (["快遞送貨", "分行自取"], None, None)
    assert (goods["model"], goods["features"]) == ("WP-15", "15 瓦，圓形，直徑十公分。")
    assert await names(shop, q="projector", lang="en") == ["Portable projector"]


@pytest.mark.proves("K9")
async def test_a_version_from_before_there_were_ways_of_delivery_goes_into_the_wallet(
    shop: Catalog, catalog_database: TestDatabase
) -> None:
    path = f"/internal/v1/offers/{offer_id(CODE, 'O001')}/versions/1"
    before = (await shop.client.get(path, headers=shop.issuer.service())).json()
    with psycopg.connect(catalog_database.superuser_url) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE offer_versions SET content = content #- '{reward,delivery}'")
    after = (await shop.client.get(path, headers=shop.issuer.service())).json()
    assert before == after
    assert after["reward"]["delivery"] == ["wallet"]
    assert (await get(shop, f"/v1/offers/{offer_id(CODE, 'O001')}")).json()["delivery"] == ["wallet"]


async def test_open_campaigns_are_listed(shop: Catalog) -> None:
    await shop.open(campaign=[campaign_row(code="PAST", closes_on="2026-01-31")])
    items = (await get(shop, "/v1/campaigns", lang="en")).json()["items"]
    assert [(item["code"], item["name"], item["sample"]) for item in items] == [(CODE, "Autumn Rewards 2026", True)]
    assert len(items[0]["categories"]) == 8
    assert (await get(shop, "/v1/campaigns/PAST/offers")).status_code == 404
    assert (await get(shop, "/v1/campaigns/NOWHERE/offers")).status_code == 404


@pytest.mark.proves("K9")
async def test_everybody_gets_the_same_bytes_and_whoever_has_them_gets_304(shop: Catalog) -> None:
    path = f"/v1/campaigns/{CODE}/offers"
    first = await get(shop, path)
    other = await shop.client.get(path, headers=shop.issuer.customer("customer-00002"))
    assert other.content == first.content
    again = await get(shop, path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    english = await get(shop, path, lang="en")
    assert english.headers["etag"] != first.headers["etag"]
    assert english.headers["vary"] == "Accept-Language"


@pytest.mark.proves("K9")
async def test_what_is_left_is_shown_in_coarse_steps(
    catalog_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalog.parts.SNAPSHOT_SECONDS_MAX", 0.0)
    async with running_catalog(catalog_database, issuer) as catalog:
        await catalog.open(
            rewards=[reward_row("R1"), reward_row("R2")],
            offers=[offer_row("O1"), offer_row("O2", "R2", quota_per_day=1), offer_row("O3", "R2")],
            stock_batches=[
                batch_row("B1", "R1", 22),
                batch_row("B2", "R2", 500),
                batch_row("B3", "R1", 9, expires_on="2026-01-01"),
            ],
        )

        async def remaining() -> dict[str, str]:
            items = (await get(catalog, f"/v1/campaigns/{CAMPAIGN}/offers")).json()["items"]
            return {item["code"]: item["remaining"] for item in items}

        assert await remaining() == {"O1": "many", "O2": "few", "O3": "many"}
        etag = (await get(catalog, f"/v1/campaigns/{CAMPAIGN}/offers")).headers["etag"]
        await catalog.put("reservations", [wish(("O1", 1))])
        same = await get(catalog, f"/v1/campaigns/{CAMPAIGN}/offers", headers={"If-None-Match": etag})
        assert same.status_code == 304, "one unit less is the same step"
        await catalog.put("reservations", [wish(("O1", 1), ("O2", 1))])
        assert await remaining() == {"O1": "few", "O2": "none", "O3": "many"}
        await catalog.put("reservations", [wish(("O1", 20))])
        assert await remaining() == {"O1": "none", "O2": "none", "O3": "many"}
        offer = f"/v1/offers/{offer_id(CAMPAIGN, 'O1')}"
        assert (await get(catalog, offer)).json()["remaining"] == "none"


async def test_a_new_version_is_shown_and_what_it_drops_is_gone(
    catalog_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalog.parts.SNAPSHOT_SECONDS_MAX", 0.0)
    async with running_catalog(catalog_database, issuer) as catalog:
        await catalog.open(offers=[offer_row("O1"), offer_row("O2", price_points=2)])
        await catalog.open(offers=[offer_row("O1", price_points=900)])
        items = (await get(catalog, f"/v1/campaigns/{CAMPAIGN}/offers")).json()["items"]
        assert [(item["code"], item["version"], item["price_points"]) for item in items] == [("O1", 2, 900)]
        assert (await get(catalog, f"/v1/offers/{offer_id(CAMPAIGN, 'O2')}")).status_code == 404
        assert (await catalog.put("reservations", [wish(("O2", 1))]))[0]["reasons"][0]["code"] == "offer-not-open"


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    "query",
    [{"limit": 101}, {"limit": 0}, {"price_min": -1}, {"category": "cars"}, {"q": "!!"}, {"q": "x" * 101}, {"cursor": "AAAA"},
     {"lang": "<script>"}],
)  # fmt: skip
async def test_a_query_that_is_not_in_order_is_refused(shop: Catalog, query: dict[str, Any]) -> None:
    answer = await get(shop, f"/v1/campaigns/{CODE}/offers", **query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == f"query:{next(iter(query))}"


@pytest.mark.proves("G42")
async def test_a_cursor_of_one_list_does_not_open_another(shop: Catalog) -> None:
    path = f"/v1/campaigns/{CODE}/offers"
    cursor = (await get(shop, path, limit=2)).json()["next"]
    assert (await get(shop, path, limit=2, cursor=cursor, category="dining")).status_code == 422
    assert (await get(shop, path, limit=2, cursor=cursor[:-2] + "AA")).status_code == 422


@pytest.mark.proves("G40")
async def test_browsing_needs_a_token(shop: Catalog) -> None:
    for path in ("/v1/campaigns", f"/v1/campaigns/{CODE}/offers", f"/v1/offers/{offer_id(CODE, 'O001')}"):
        assert (await shop.client.get(path)).status_code == 401
        assert (await shop.client.get(path, headers=shop.issuer.till())).status_code == 403


async def test_a_hot_list_is_made_once_and_read_from_memory(
    catalog_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    read = store.offers_of_version

    async def counted(*arguments: Any) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return await read(*arguments)

    monkeypatch.setattr(store, "offers_of_version", counted)
    async with running_catalog(catalog_database, issuer) as catalog:
        await catalog.open()
        answers = [await get(catalog, f"/v1/campaigns/{CAMPAIGN}/offers") for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
    assert asked == 1
