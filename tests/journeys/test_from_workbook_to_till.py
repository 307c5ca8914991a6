"""One journey on the running suite, by the command line and over HTTP: workbook, feeds, redemption, wallet, till, books."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.speaking import Speaker
from tests.journeys.conftest import CAMPAIGN, SAMPLES
from tests.journeys.machines import Machine

pytestmark = pytest.mark.anyio

COFFEE, WHO, TILL = "O001", "customer-00003", "till:M001:T01"


@pytest.fixture
async def speaker(loaded: Machine) -> AsyncIterator[Speaker]:
    async with Speaker(loaded.suite) as speaker:
        yield speaker


async def read(speaker: Speaker, service: str, path: str, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await speaker.call("GET", service, path, who=WHO, params=query)).json()
    return found


@pytest.mark.proves("C6")
def test_a_version_that_is_exported_is_the_workbook_that_was_loaded(loaded: Machine, tmp_path: Path) -> None:
    done = loaded.huangou("export", CAMPAIGN, "1", str(tmp_path / "again.xlsx"))
    assert done.returncode == 0, done.stderr
    digests = [
        hashlib.sha256(file.read_bytes()).digest() for file in (tmp_path / "again.xlsx", SAMPLES / "autumn-campaign.xlsx")
    ]
    assert digests[0] == digests[1]


@pytest.mark.proves("X4", "P6")
def test_a_feed_with_errors_is_refused_by_line_and_a_known_one_changes_nothing(loaded: Machine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("customer_number,points,expires_on,reference\nC000003,many,2027-01-01,r\nC000003,1,soon,s\n#total,2,2\n")
    done = loaded.huangou("feed", "earned-points", str(wrong))
    assert done.returncode == 1
    assert "whole number" in done.stdout
    assert "YYYY-MM-DD" in done.stdout
    again = loaded.huangou("feed", "opening-balances", str(SAMPLES / "opening-balances.csv"))
    assert again.returncode == 0
    assert "was taken in before" in again.stdout


@pytest.mark.proves("X4")
def test_a_file_that_is_no_workbook_is_refused_with_a_table(loaded: Machine, tmp_path: Path) -> None:
    (tmp_path / "wrong.xlsx").write_text("no workbook")
    done = loaded.huangou("import", str(tmp_path / "wrong.xlsx"))
    assert done.returncode == 1
    assert "not an xlsx workbook" in done.stdout
    missing = loaded.huangou("import", str(tmp_path / "absent.xlsx"))
    assert missing.returncode == 1
    assert missing.stderr.strip().count("\n") == 0


@pytest.mark.proves("R1", "R7", "R8", "F3", "F5", "X1", "X2", "X8")
async def test_a_customer_redeems_points_and_pays_with_the_voucher(loaded: Machine, speaker: Speaker) -> None:
    offers = (await read(speaker, "catalog", f"/v1/campaigns/{CAMPAIGN}/offers", q="咖啡"))["items"]
    [offer] = [item for item in offers if item["code"] == COFFEE]
    customer = (await read(speaker, "redemption", "/v1/me"))["customer_id"]
    before = (await read(speaker, "redemption", f"/v1/customers/{customer}/points"))["balance"]
    body = {"campaign": CAMPAIGN, "lines": [{"offer_id": offer["id"], "offer_version": offer["version"], "quantity": 1}]}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = await speaker.call("POST", "redemption", "/v1/redemptions", who=WHO, json=body, headers=headers)
    again = await speaker.call("POST", "redemption", "/v1/redemptions", who=WHO, json=body, headers=headers)
    assert first.content == again.content
    after = (await read(speaker, "redemption", f"/v1/customers/{customer}/points"))["balance"]
    assert before - after == offer["price_points"]
    code = await _code(speaker)
    use = await speaker.answer("PUT", "fulfillment", "/v1/uses/J-1", who=TILL, json={"code": code})
    repeated = await speaker.answer("PUT", "fulfillment", "/v1/uses/J-1", who=TILL, json={"code": code})
    other = await speaker.answer("PUT", "fulfillment", "/v1/uses/J-2", who=TILL, json={"code": code})
    assert (use.status_code, other.status_code) == (200, 409)
    assert use.content == repeated.content
    shown = await read(speaker, "redemption", first.headers["location"])
    assert [entry["kind"] for entry in shown["timeline"]] == ["accepted", "confirmed", "fulfilled"]


async def _code(speaker: Speaker) -> str:
    """The code of the customer's first voucher, once the till is admitted to it."""
    while not (vouchers := (await read(speaker, "fulfillment", "/v1/vouchers"))["items"]):
        await asyncio.sleep(0.3)
    code: str = (await read(speaker, "fulfillment", f"/v1/vouchers/{vouchers[0]['id']}/code"))["code"]
    while (await speaker.answer("POST", "fulfillment", "/v1/verifications", who=TILL, json={"code": code})).status_code == 403:
        await asyncio.sleep(0.3)  # fulfillment hears of new merchants within half a minute
    return code


@pytest.mark.proves("P4", "G8")
def test_reconcile_finds_nothing_and_then_the_damage_that_is_done_behind_its_back(loaded: Machine) -> None:
    done = loaded.huangou("reconcile")
    assert (done.returncode, "everything fits" in done.stdout) == (0, True), done.stdout
    if not loaded.has_database_at_hand:
        pytest.skip("nothing was found; damage cannot be done here, since the containers' database is out of reach")
    with psycopg.connect(loaded.suite.database_url("catalog", "owner")) as conn:
        batch = conn.execute("UPDATE stock_batches SET consumed = consumed + 1 WHERE code = 'B050A' RETURNING id").fetchone()
    try:
        damaged = loaded.huangou("reconcile")
        assert damaged.returncode == 1
        assert "breaks found" in damaged.stderr
        assert "catalog" in damaged.stdout
    finally:
        with psycopg.connect(loaded.suite.database_url("catalog", "owner")) as conn:
            conn.execute("UPDATE stock_batches SET consumed = consumed - 1 WHERE id = %s", batch)
    assert loaded.huangou("reconcile").returncode == 0


@pytest.mark.proves("X7")
def test_tasks_of_all_three_services_are_shown_to_the_operator(loaded: Machine) -> None:
    done = loaded.huangou("tasks")
    assert done.returncode == 0, done.stderr
    assert all(service in done.stdout for service in ("catalog", "redemption", "fulfillment"))
    assert "Nothing is parked." in done.stdout


@pytest.mark.proves("X2")
async def test_customers_may_not_look_at_tasks(loaded: Machine, speaker: Speaker) -> None:
    for service in ("catalog", "redemption", "fulfillment"):
        refused = await speaker.answer("GET", service, "/internal/v1/tasks", who=WHO)
        shown = await speaker.answer("GET", service, "/internal/v1/tasks", who="supervisor-1")
        assert (refused.status_code, shown.status_code) == (403, 200)
