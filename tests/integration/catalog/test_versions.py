"""Workbooks become versions: loaded whole or not at all, exported as they came, put in force."""

import hashlib
import io
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl
import psycopg
import pytest

from samples.build import CODE, WORKBOOK
from services.catalog.books import BOOKS
from services.catalog.campaigns.domain import batch_id, offer_id
from services.catalog.workbooks.reading import BYTES_MAX
from services.catalog.workbooks.writing import write_workbook
from shared.app import JSON_BYTES_MAX
from tests.support.catalog import (
    CAMPAIGN,
    Catalog,
    batch_row,
    campaign_row,
    merchant_row,
    offer_row,
    reward_row,
    row,
    wish,
    workbook_cells,
)
from tests.support.postgres import TestDatabase

pytestmark = pytest.mark.anyio


def rows(database: TestDatabase, query: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query, parameters).fetchall()


def cells_of(body: bytes) -> Mapping[str, list[tuple[Any, ...]]]:
    workbook = openpyxl.load_workbook(io.BytesIO(body))
    return {sheet.title: [tuple(cell.value for cell in line) for line in sheet.iter_rows()] for sheet in workbook}


@pytest.mark.proves("C1", "C6")
async def test_the_sample_workbook_loads_and_comes_back_cell_by_cell(catalog: Catalog) -> None:
    loaded = await catalog.load_bytes(WORKBOOK.read_bytes())
    assert loaded.status_code == 201
    assert loaded.json() == {"campaign": CODE, "version": 1, "created": True}
    exported = await catalog.client.get(loaded.headers["location"], headers=catalog.manager())
    assert cells_of(exported.content) == cells_of(WORKBOOK.read_bytes())
    assert (await catalog.publish(1, CODE)).json() == {"campaign": CODE, "version": 1, "state": "live"}


@pytest.mark.proves("C1")
async def test_the_same_content_is_the_same_version_however_the_file_is_packed(catalog: Catalog) -> None:
    await catalog.load(workbook_cells())
    workbook = openpyxl.load_workbook(io.BytesIO(write_workbook(workbook_cells())))
    packed = io.BytesIO()
    workbook.save(packed)
    again = await catalog.load_bytes(packed.getvalue())
    assert again.json() == {"campaign": CAMPAIGN, "version": 1, "created": False}
    changed = await catalog.load(workbook_cells(offers=[offer_row(price_points=1)]))
    assert changed.json()["version"] == 2


@pytest.mark.proves("C6", "X4")
async def test_every_error_is_answered_at_once_in_the_callers_language_and_nothing_is_kept(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    body = write_workbook(
        workbook_cells(
            offers=[offer_row(reward="R9"), offer_row("O2", price_points=0)],
            merchants=[merchant_row(category_code="58")],
            stock_batches=[batch_row(quantity=-1)],
        )
    )
    answer = await catalog.load_bytes(body, **{"Accept-Language": "zh-Hant"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].endswith("/workbook-refused")
    assert [(e["sheet"], e["row"], e["column"], e["code"]) for e in problem["errors"]] == [
        ("offers", 2, "reward", "unknown-reference"),
        ("offers", 3, "price_points", "out-of-range"),
        ("stock_batches", 2, "quantity", "out-of-range"),
        ("merchants", 2, "category_code", "bad-form"),
    ]
    assert problem["errors"][0]["detail"] == "工作表 rewards 中沒有「R9」。"
    assert "4" in problem["detail"]
    for table in ("campaigns", "campaign_versions", "offers", "merchants", "stock_batches", "audit_entries"):
        assert rows(catalog_database, f"SELECT count(*) FROM {table}") == [(0,)], table


@pytest.mark.proves("C1", "C6")
async def test_loading_a_draft_changes_nothing_that_is_in_force(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    before = rows(catalog_database, "SELECT * FROM stock_batches"), rows(catalog_database, "SELECT live_version FROM offers")
    await catalog.load(workbook_cells(offers=[offer_row(price_points=9)], stock_batches=[batch_row(quantity=9)]))
    after = rows(catalog_database, "SELECT * FROM stock_batches"), rows(catalog_database, "SELECT live_version FROM offers")
    assert after == before
    assert (await catalog.put("reservations", [wish()]))[0]["outcome"] == "held"


@pytest.mark.proves("C1", "K2")
async def test_an_offer_keeps_its_version_until_it_changes_and_an_old_version_can_be_read_for_ever(catalog: Catalog) -> None:
    both = [offer_row("O1"), offer_row("O2", price_points=2000)]
    await catalog.open(offers=both)
    await catalog.open(offers=[both[0], offer_row("O2", price_points=2500)])
    one = offer_id(CAMPAIGN, "O1")
    two = offer_id(CAMPAIGN, "O2")

    async def read(offer: uuid.UUID, version: int) -> Any:
        path = f"/internal/v1/offers/{offer}/versions/{version}"
        return await catalog.client.get(path, headers=catalog.issuer.service())

    assert (await read(one, 2)).status_code == 404, "O1 did not change, so it has no second version"
    await catalog.load(workbook_cells(offers=[both[0], offer_row("O2", price_points=2600)]))
    assert (await read(two, 3)).status_code == 404, "of a draft nobody learns the price"
    first, second = await read(two, 1), await read(two, 2)
    assert (first.json()["price_points"], second.json()["price_points"]) == (2000, 2500)
    assert second.json() | {"price_points": 0, "version": 0} == first.json() | {"price_points": 0, "version": 0}
    assert "immutable" in first.headers["cache-control"]
    headers = {**catalog.issuer.service(), "If-None-Match": first.headers["etag"]}
    assert (await catalog.client.get(f"/internal/v1/offers/{two}/versions/1", headers=headers)).status_code == 304
    voucher = first.json()["voucher"]
    assert voucher == {
        "face_value_minor": 5000, "currency": "CNY", "valid_days": 90, "merchants": ["M001"],
        "terms": {"zh_hans": "使用一次", "zh_hant": "使用一次", "en": "使用一次"},
    }  # fmt: skip
    assert first.json()["limits"] == {"per_customer": None, "per_day": None}


@pytest.mark.proves("K7", "G9")
async def test_of_two_drafts_that_do_not_know_of_each_other_the_second_sells_nothing_twice(catalog: Catalog) -> None:
    drafts = ([batch_row("B1")], [batch_row("B2")], [batch_row("B1", "R2")])
    rewards = [reward_row(), reward_row("R2")]
    for batches in drafts:
        reward = batches[0]["reward"]
        loaded = await catalog.load(
            workbook_cells(rewards=rewards, stock_batches=batches, offers=[offer_row(f"O-{reward}", reward)])
        )
        assert loaded.status_code == 201, loaded.text
    assert (await catalog.publish(1)).status_code == 200
    for version in (2, 3):
        refused = await catalog.publish(version)
        assert refused.status_code == 409
        assert refused.json()["type"].endswith("batch-not-in-version")
        assert refused.json()["subject"] == "B1"


@pytest.mark.proves("K7")
async def test_a_changed_quantity_is_a_movement_and_never_goes_below_what_is_taken(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=10)])
    await catalog.put("reservations", [wish(("O1", 4))])
    await catalog.open(stock_batches=[batch_row(quantity=15)])
    await catalog.open(stock_batches=[batch_row(quantity=4)])
    moved = rows(catalog_database, "SELECT kind, quantity FROM stock_movements WHERE reservation_id IS NULL ORDER BY id")
    assert moved == [("received", 10), ("received", 5), ("withdrawn", 11)]
    loaded = await catalog.load(workbook_cells(stock_batches=[batch_row(quantity=3)]))
    refused = await catalog.publish(loaded.json()["version"])
    assert refused.status_code == 409
    assert refused.json() | {"kind": "stock", "subject": "B1", "taken": 4} == refused.json()
    assert rows(catalog_database, "SELECT live_version FROM campaigns") == [(3,)]


async def test_what_stock_and_reservations_hang_on_cannot_change(catalog: Catalog) -> None:
    await catalog.open(stock_batches=[batch_row(), batch_row("B2")])
    cells = workbook_cells(
        campaign=[campaign_row(currency="HKD")],
        rewards=[reward_row(), reward_row("R2")],
        offers=[offer_row(reward="R2")],
        stock_batches=[batch_row(reward="R2")],
    )
    errors = (await catalog.load(cells)).json()["errors"]
    assert [(e["sheet"], e["row"], e["code"]) for e in errors] == [
        ("campaign", 2, "currency-changed"),
        ("offers", 2, "reward-changed"),
        ("stock_batches", 2, "batch-reward-changed"),
        ("stock_batches", None, "batch-missing"),
    ]


async def test_publishing_twice_changes_nothing_and_an_older_version_cannot_come_back(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    await catalog.open(offers=[offer_row(price_points=7)])
    assert (await catalog.publish(2)).status_code == 200
    assert (await catalog.publish(1)).status_code == 409
    assert (await catalog.publish(3)).status_code == 404
    assert (await catalog.publish(1, "NOWHERE")).status_code == 404
    assert rows(catalog_database, "SELECT number FROM publications ORDER BY 1") == [(1,), (2,)]
    assert rows(catalog_database, "SELECT action FROM audit_entries WHERE action = 'campaign.published'") == [
        ("campaign.published",),
        ("campaign.published",),
    ]


async def test_a_campaign_whose_state_forbids_it_is_not_published(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.load(workbook_cells())
    with psycopg.connect(catalog_database.superuser_url) as conn:
        conn.execute("UPDATE campaigns SET state = 'submitted'")
    refused = await catalog.publish(1)
    assert (refused.status_code, refused.json()["state"]) == (409, "submitted")


@pytest.mark.proves("G26", "G27", "G28")
async def test_a_workbook_is_loaded_once_under_a_key(catalog: Catalog, catalog_database: TestDatabase) -> None:
    body, key = write_workbook(workbook_cells()), str(uuid.uuid4())
    first, again = await catalog.load_bytes(body, key=key), await catalog.load_bytes(body, key=key)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await catalog.load_bytes(
        write_workbook(workbook_cells(budget=[row("budget", line="other", amount_minor=1)])), key=key
    )
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")
    faulty, key = write_workbook(workbook_cells(offers=[])), str(uuid.uuid4())
    refused, refused_again = await catalog.load_bytes(faulty, key=key), await catalog.load_bytes(faulty, key=key)
    assert (refused.status_code, refused.content) == (422, refused_again.content)
    keyless = {**catalog.manager(), "Content-Type": "application/octet-stream"}
    assert (await catalog.client.post("/v1/workbooks", content=body, headers=keyless)).status_code == 400
    assert rows(catalog_database, "SELECT count(*) FROM campaign_versions") == [(1,)]


@pytest.mark.proves("G42")
async def test_a_body_that_is_too_large_or_no_workbook_is_refused(catalog: Catalog) -> None:
    assert (await catalog.load_bytes(b"x" * (BYTES_MAX + 1))).status_code == 413
    assert (await catalog.load_bytes(b"{}", **{"Content-Type": "application/json"})).status_code == 415
    refused = await catalog.load_bytes(b"no workbook")
    assert [e["code"] for e in refused.json()["errors"]] == ["not-a-workbook"]


async def test_a_workbook_of_a_thousand_rewards_is_loaded_published_and_shown(catalog: Catalog) -> None:
    """Texts that do not compress: far more bytes than any JSON body may have."""
    numbers = range(1, 1_001)
    digest = hashlib.sha256
    cells = workbook_cells(
        rewards=[reward_row(f"R{n}", description=digest(b"%d" % n).hexdigest() * 8) for n in numbers],
        offers=[offer_row(f"O{n}", f"R{n}", price_points=n) for n in numbers],
        stock_batches=[batch_row(f"B{n}", f"R{n}") for n in numbers],
    )
    assert len(write_workbook(cells)) > 2 * JSON_BYTES_MAX
    assert (await catalog.load(cells)).status_code == 201
    assert (await catalog.publish(1)).status_code == 200
    found = await catalog.client.get(f"/v1/campaigns/{CAMPAIGN}/offers?limit=100", headers=catalog.issuer.customer())
    assert len(found.json()["items"]) == 100


@pytest.mark.proves("G40", "X2")
async def test_only_campaign_managers_and_their_systems_load_and_publish(catalog: Catalog) -> None:
    await catalog.load(workbook_cells())
    issuer = catalog.issuer
    strangers = [issuer.customer(), issuer.till(), issuer.staff("agent"), issuer.service("redemption", "internal")]
    for headers in strangers:
        for method, path in (
            ("POST", "/v1/workbooks"),
            ("POST", f"/v1/campaigns/{CAMPAIGN}/versions/1/publication"),
            ("GET", f"/v1/campaigns/{CAMPAIGN}/versions/1/workbook"),
        ):
            answer = await catalog.client.request(method, path, headers={**headers, "Idempotency-Key": "k"})
            assert answer.status_code == 403, (path, headers)
    system = {**issuer.service("planning", "campaigns:write"), "Idempotency-Key": "k2"}
    assert (await catalog.client.post(f"/v1/campaigns/{CAMPAIGN}/versions/1/publication", headers=system)).status_code == 200


@pytest.mark.proves("K10")
async def test_merchants_and_terminals_follow_the_version_in_force_and_are_answered_with_an_etag(catalog: Catalog) -> None:
    tills = [row("terminals", merchant="M001", code=code, location="前台") for code in ("T01", "T02")]
    await catalog.open(terminals=tills)

    async def read(**headers: str) -> Any:
        return await catalog.client.get("/internal/v1/merchants", headers={**catalog.issuer.service(), **headers})

    first = await read()
    assert [t["code"] for t in first.json()["items"][0]["terminals"]] == ["T01", "T02"]
    assert (await read(**{"If-None-Match": first.headers["etag"]})).status_code == 304
    await catalog.open(merchants=[merchant_row(contract_until="2027-01-31"), merchant_row("M002")], terminals=tills[1:])
    second = await read(**{"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert [(m["code"], m["contract_until"], len(m["terminals"])) for m in second.json()["items"]] == [
        ("M001", "2027-01-31", 1),
        ("M002", "2030-12-31", 0),
    ]


APPEND_ONLY = (
    "campaign_versions",
    "offer_versions",
    "version_offers",
    "publications",
    "stock_movements",
    "reservation_lines",
    "reservation_draws",
    "reservation_returns",
    "reservation_return_lines",
    "audit_entries",
)


@pytest.mark.proves("C1", "K7", "G46")
async def test_what_is_append_only_is_so_for_the_service_and_for_the_owner(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    await catalog.put("reservations", [wish()])
    for table in APPEND_ONLY:
        for url, refusal in (
            (catalog_database.url, psycopg.errors.InsufficientPrivilege),
            (catalog_database.owner_url, psycopg.errors.RestrictViolation),
        ):
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                with psycopg.connect(url) as conn, pytest.raises(refusal):
                    conn.execute(statement)


FORBIDDEN = (
    ("UPDATE reservations SET fingerprint = sha256('x') WHERE state = 'held'", psycopg.errors.RestrictViolation),
    ("UPDATE stock_batches SET held = received + 1", psycopg.errors.CheckViolation),
    ("UPDATE stock_batches SET consumed = -1", psycopg.errors.CheckViolation),
    ("UPDATE quotas SET total_ceiling = 0", psycopg.errors.CheckViolation),
    ("UPDATE quotas SET day_ceiling = 0", psycopg.errors.CheckViolation),
    ("UPDATE budget_lines SET ceiling_minor = 0", psycopg.errors.CheckViolation),
    ("DELETE FROM reservations", psycopg.errors.InsufficientPrivilege),
)


@pytest.mark.proves("G9")
async def test_the_database_refuses_what_the_code_must_not_do(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    await catalog.put("reservations", [wish()])
    for change, refusal in FORBIDDEN:
        with psycopg.connect(catalog_database.url) as conn, pytest.raises(refusal):
            conn.execute(change)


DAMAGE = {
    "batch-movements": "UPDATE stock_batches SET received = received + 1",
    "batch-draws": "UPDATE stock_batches SET held = held + 1",
    "draw-movements": "UPDATE stock_movements SET quantity = quantity + 1 WHERE kind = 'held'",
    "line-draws": "UPDATE reservation_lines SET quantity = quantity + 1",
    "line-returns": "UPDATE reservation_lines SET returned = returned + 1",
    "line-draw-returns": "UPDATE reservation_draws SET returned = returned + 1",
    "draw-returns": "UPDATE reservation_draws SET returned = returned + 1, restocked = restocked + 1",
    "header-lines": "INSERT INTO reservations (id, state, campaign_code, fingerprint, changed_at)"
    " VALUES (gen_random_uuid(), 'held', 'X', sha256('x'), now())",
    "quota": "UPDATE quotas SET total_taken = total_taken + 1",
    "budget": "UPDATE budget_lines SET committed_minor = committed_minor + 1",
}


@pytest.mark.proves("P4", "K7")
async def test_the_books_name_every_kind_of_damage(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    await catalog.put("reservations", [wish()])
    assert set(DAMAGE) == set(BOOKS.checks) - {"redrive-without-two-people"}  # every service's: shown in shared/
    with psycopg.connect(catalog_database.superuser_url, autocommit=True) as conn:
        conn.execute("ALTER TABLE stock_movements DISABLE TRIGGER append_only")
        for table in ("reservation_lines", "reservation_draws"):
            conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER only_counters_rise")
        for kind, damage in DAMAGE.items():
            assert await catalog.breaks() == [], "the clean case"
            conn.execute(damage)
            found = await catalog.breaks()
            assert kind in {item["kind"] for item in found}
            assert all(item["subject"] and item["detail"] for item in found)
            added = kind == "header-lines"
            conn.execute("DELETE FROM reservations WHERE campaign_code = 'X'" if added else damage.replace(" + 1", " - 1"))


async def test_a_batch_of_another_campaign_with_the_same_code_is_another_batch(catalog: Catalog) -> None:
    await catalog.open()
    await catalog.open(campaign=[campaign_row(code="OTHER")], stock_batches=[batch_row(quantity=1)])
    assert batch_id("OTHER", "B1") != batch_id(CAMPAIGN, "B1")
    assert (await catalog.put("reservations", [wish(("O1", 2))]))[0]["outcome"] == "held"
