"""One redemption that cannot be carried on does not hold up those that are carried on with it."""

import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from services.redemption.redemptions.use_cases import cancel as cancelling
from services.redemption.redemptions.use_cases import redeem as redeeming
from shared.database import Database
from tests.integration.redemption.conftest import Databases
from tests.support.goods import LAMP_POINTS, Shop
from tests.support.postgres import TestDatabase
from tests.support.redemption import execute, hurry, mended, one, rested, rows
from tests.support.suite import Suite

pytestmark = [pytest.mark.anyio, pytest.mark.proves("X3")]
UNREADABLE = json.dumps([{"way": "courier", "state": "held_at_customs", "lines": [1], "at": "2026-11-22T00:00:00Z"}])


@pytest.fixture
async def shop(bare_suite: Suite, databases: Databases) -> Shop:
    return await Shop(bare_suite, databases).open()


def spoil(ledger: TestDatabase, redemption_id: str) -> None:
    """What is known of its parts cannot be read."""
    query = "UPDATE redemption_deliveries SET parts = %s::jsonb WHERE redemption_id = %s"
    execute(ledger.superuser_url, query, UNREADABLE, redemption_id)


def mend(ledger: TestDatabase) -> None:
    execute(ledger.superuser_url, "UPDATE redemption_deliveries SET parts = '[]' WHERE parts::text LIKE '%%customs%%'")


def states(ledger: TestDatabase) -> list[str]:
    return [state for (state,) in rows(ledger, "SELECT state FROM redemptions ORDER BY id")]


def failures(ledger: TestDatabase, kind: str) -> list[tuple[int, str]]:
    return rows(ledger, "SELECT failures, last_error FROM tasks WHERE kind = %s AND state = 'ready'", kind)


async def run_once(shop: Shop, lane: str) -> list[dict[str, Any]]:
    """One round of one of redemption's lanes; answers the errors in the log."""
    [chosen] = [one for one in shop.suite.worker._lanes if one.name == lane]
    hurry(shop.database_of("redemption"))
    with capture_logs() as logs:
        await shop.suite.worker.run_once(chosen)
    return [dict(entry) for entry in logs if entry["log_level"] == "error"]


async def orders(shop: Shop, number: int = 5) -> list[str]:
    return [await shop.order() for _ in range(number)]


async def test_one_that_cannot_be_handed_out_leaves_the_others(shop: Shop, ledger: TestDatabase) -> None:
    ids = [(await shop.redeem(delivery=shop.by_courier())).json()["id"] for _ in range(5)]
    spoil(ledger, ids[2])
    errors = await run_once(shop, "fulfil")
    assert states(ledger) == ["delivering", "delivering", "confirmed", "delivering", "delivering"]
    assert [(e["event"], e["redemption"]) for e in errors] == [("cannot_be_committed", ids[2])]
    assert failures(ledger, "fulfil") == [(1, "ValidationError")]
    mend(ledger)
    await mended(shop.suite, ledger)
    assert states(ledger) == ["delivering"] * 5


async def test_one_cancellation_that_cannot_be_written_leaves_the_others(
    shop: Shop, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "ANSWER_SECONDS", 0.1)
    ids = await orders(shop)
    shop.suite.network.faults["fulfillment.test"] = "down"
    for redemption in ids:
        assert (await shop.cancel(redemption)).status_code == 202
    shop.suite.network.faults.clear()
    rested(shop.suite.redemption.state.parts)
    spoil(ledger, ids[0])
    errors = await run_once(shop, "cancel")
    assert states(ledger) == ["cancelling", "cancelled", "cancelled", "cancelled", "cancelled"]
    assert [(e["event"], e["redemption"]) for e in errors] == [("cannot_be_committed", ids[0])]
    assert await shop.balance() == (5000 - LAMP_POINTS, 0)
    mend(ledger)
    await mended(shop.suite, ledger)
    assert (states(ledger), await shop.balance()) == (["cancelled"] * 5, (5000, 0))


async def _sent_and_unheard(shop: Shop, ids: list[str]) -> None:
    """Everything is delivered, and no report comes through."""
    await shop.suite.drain()
    shop.suite.network.faults["redemption.test"] = "down"
    for redemption in ids:
        await shop.suite.outside.courier.happen(shop.parcel(redemption)[1], "picked_up", "delivered")
    await shop.suite.outside.courier.tell()
    await shop.suite.fulfillment_worker.drain()


async def test_one_parcel_that_cannot_be_understood_leaves_the_look_at_the_others(shop: Shop, ledger: TestDatabase) -> None:
    ids = await orders(shop)
    await _sent_and_unheard(shop, ids)
    spoil(ledger, ids[4])
    errors = await run_once(shop, "watch")
    assert states(ledger) == [*["fulfilled"] * 4, "delivering"]
    assert [(e["event"], e["redemption"]) for e in errors] == [("cannot_be_committed", ids[4])]
    assert failures(ledger, "watch") == [(1, "ValidationError")]
    mend(ledger)
    await mended(shop.suite, ledger)
    hurry(shop.database_of("fulfillment"))
    await mended(shop.suite, ledger)
    assert states(ledger) == ["fulfilled"] * 5


@pytest.mark.proves("G34")
async def test_one_report_that_cannot_be_taken_fails_alone_and_is_told_again(shop: Shop, ledger: TestDatabase) -> None:
    ids = await orders(shop)
    await _sent_and_unheard(shop, ids)
    shop.suite.network.faults.clear()
    spoil(ledger, ids[1])
    fulfillment = shop.database_of("fulfillment")
    hurry(fulfillment)
    with capture_logs() as logs:
        await shop.suite.fulfillment_worker.drain()
    assert states(ledger) == ["fulfilled", "delivering", "fulfilled", "fulfilled", "fulfilled"]
    said = {(e["event"], e.get("redemption") or e.get("fulfillment")) for e in logs if e["log_level"] == "error"}
    assert said == {("cannot_be_committed", ids[1]), ("report_failed", ids[1])}
    waiting = "SELECT count(*) FROM tasks WHERE kind = 'report' AND state = 'ready' AND ref = %s"
    assert one(fulfillment, waiting, ids[1]) == 1 == one(fulfillment, waiting.replace("AND ref = %s", ""))
    mend(ledger)
    hurry(fulfillment)
    await mended(shop.suite, ledger)
    assert states(ledger) == ["fulfilled"] * 5


async def test_a_busy_database_takes_no_set_apart(shop: Shop, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.redeem(delivery=shop.by_courier())
    await shop.redeem(delivery=shop.by_courier())
    commits: list[int] = []

    async def away(self: Database, work: Any) -> None:
        commits.append(1)
        raise cancelling.DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Database, "run", away)
        await run_once(shop, "fulfil")
    assert commits == [1]
    await mended(shop.suite, ledger)
    assert states(ledger) == ["delivering"] * 2


@pytest.mark.proves("K2")
async def test_a_drifted_limit_holds_back_no_points(shop: Shop, ledger: TestDatabase) -> None:
    lamp = await shop.order()
    counters = rows(ledger, "SELECT customer_id, limit_key, taken FROM limit_counters")
    execute(ledger.superuser_url, "UPDATE limit_counters SET taken = 0")
    assert {found.kind for found in await shop.suite.breaks()} == {"limit-drifted"}
    assert (await shop.cancel(lamp)).json()["state"] == "cancelled"
    assert counters and await shop.balance() == (5000, 0) and shop.limits() == []
    await shop.suite.drain()


@pytest.mark.proves("K2")
async def test_a_drifted_limit_does_not_hold_up_who_cancels_before_the_pivot(
    shop: Shop, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.0)
    await shop.redeem(delivery=shop.by_courier())  # the offer is known from here on
    await shop.suite.drain()
    before = await shop.balance()
    shop.suite.network.faults["catalog.test"] = "down"
    accepted = await shop.redeem(delivery=shop.by_courier())
    assert (accepted.status_code, accepted.json()["state"]) == (202, "accepted")
    execute(ledger.superuser_url, "UPDATE limit_counters SET taken = 0")
    assert (await shop.cancel(accepted.json()["id"])).json()["state"] == "cancelled"
    assert await shop.balance() == before
    execute(ledger.superuser_url, "UPDATE limit_counters SET taken = 1")
    shop.suite.network.faults.clear()
    await mended(shop.suite, ledger)


class Picky(httpx.AsyncBaseTransport):
    """A neighbour that refuses a whole call for one redemption in it, as one of another release may."""

    def __init__(self, host: httpx.AsyncBaseTransport, refused: str) -> None:
        self.host, self.refused = host, refused

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if self.refused in body.decode() + str(request.url.query):
            return httpx.Response(422, json={"type": "https://problems.test/validation-error"}, request=request)
        return await self.host.handle_async_request(request)


@pytest.mark.parametrize(
    ("lane", "kind", "host"),
    [
        ("consume", "consume", "catalog.test"),
        ("consume", "give_back", "catalog.test"),
        ("drive", "release", "catalog.test"),
        ("cancel", "cancel", "fulfillment.test"),
        ("watch", "watch", "fulfillment.test"),
    ],
)
async def test_one_that_a_neighbour_refuses_to_read_leaves_the_others(
    shop: Shop, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch, lane: str, kind: str, host: str
) -> None:
    monkeypatch.setattr(cancelling, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(redeeming, "ANSWER_SECONDS", 0.1)
    waiting = await _waiting(shop, kind)
    assert len(waiting) == 3
    hosts = shop.suite.network.hosts
    picky = Picky(hosts[host], waiting[1])
    monkeypatch.setitem(hosts, host, picky)
    rested(shop.suite.redemption.state.parts)
    errors = await run_once(shop, lane)
    of_kind = "SELECT ref::text FROM tasks WHERE kind = %s AND state = 'ready' AND last_error = 'the answer was not understood'"
    assert rows(ledger, of_kind, kind) == [(waiting[1],)]
    assert [e["event"] for e in errors] == ["refused_alone", "answer_not_understood"]
    picky.refused = "nothing any more"
    await mended(shop.suite, ledger)
    hurry(shop.database_of("fulfillment"))
    await mended(shop.suite, ledger)


async def _waiting(shop: Shop, kind: str) -> list[str]:
    """Three redemptions that wait for a task of a kind."""
    if kind == "release":
        await shop.order()  # the offer is known from here on
        shop.suite.network.faults["catalog.test"] = "lost-request"
        ids = [(await shop.redeem(delivery=shop.by_courier())).json()["id"] for _ in range(3)]
        for redemption in ids:
            await shop.cancel(redemption)
        shop.suite.network.faults.clear()
        return ids
    ids = [await shop.order() for _ in range(3)]
    if kind == "cancel":
        shop.suite.network.faults["fulfillment.test"] = "down"
        for redemption in ids:
            await shop.cancel(redemption)
        shop.suite.network.faults.clear()
    if kind in ("consume", "give_back"):
        await shop.suite.fulfillment_worker.drain()
    if kind == "give_back":
        await shop.suite.drain()
        for redemption in ids:
            await shop.suite.outside.courier.happen(shop.parcel(redemption)[1], "picked_up", "returned")
        await shop.suite.outside.courier.tell()
        await shop.suite.fulfillment_worker.drain()
    return ids
