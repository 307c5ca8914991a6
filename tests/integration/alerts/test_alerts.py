"""Each alert fires when its condition is made in a running suite, and none fires while all is well (G53).

What is done here is the thing itself (a task is parked, a break is planted, a neighbour goes away); /metrics is read before and
after, and the rule's own expression is evaluated. What follows from a condition may fire beside it, and is named.
"""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.fulfillment.neighbours.courier import courier_at
from services.fulfillment.neighbours.notifications import notifications_at
from services.fulfillment.notices.domain import Message, NoticeKind
from services.redemption.parts import Parts
from services.redemption.reconciliation import use_cases as reconciling
from shared.identity import TokenVerifier
from shared.problems import NeighbourUnavailable
from shared.tasks import NewTask
from tests.integration.alerts.watch import Watch
from tests.integration.reconciliation.world import lane
from tests.support.alerts import rules
from tests.support.fulfillment import ACTOR, branch, goods, to_branch, wish
from tests.support.redemption import rested
from tests.support.tokens import AUDIENCE, ISSUER

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


def parts_of(watch: Watch) -> Parts:
    parts: Parts = watch.suite.redemption.state.parts
    return parts


def sql(watch: Watch, service: str, statement: str, *values: Any) -> None:
    """Past every guard, as somebody with the superuser's password would."""
    with watch.world.unguarded(service) as conn:
        assert conn.execute(statement.encode(), values).rowcount != 0, statement
        conn.commit()


async def add_tasks(watch: Watch, kind: str, number: int) -> None:
    parts = parts_of(watch)
    async with parts.database.transaction() as conn:
        now = await parts.clock.now(conn)
        await parts.tasks.add(conn, [NewTask(kind=kind, run_at=now) for _ in range(number)])


@pytest.mark.proves("G53")
async def test_nothing_fires_while_all_is_well(watch: Watch) -> None:
    assert (await watch.suite.redeem(watch.world.facts["subject"])).status_code == 201
    await watch.suite.drain()
    assert await watch.firing() == set()


@pytest.mark.proves("G53")
async def test_task_parked(watch: Watch) -> None:
    await add_tasks(watch, "sweep", 1)
    sql(
        watch,
        "redemption",
        "UPDATE tasks SET claims_unreturned = 5, lease_until = now() - interval '1 s' WHERE state = 'ready'",
    )
    await watch.suite.worker.run_once(lane(watch.suite.worker, "housekeeping"))
    assert await watch.firing() == {"TaskParked"}


@pytest.mark.proves("G53")
async def test_task_late(watch: Watch) -> None:
    await add_tasks(watch, "sweep", 1)
    sql(watch, "redemption", "UPDATE tasks SET run_at = now() - interval '2 minutes' WHERE state = 'ready'")
    assert await watch.firing() == {"TaskLate"}


@pytest.mark.proves("G53")
async def test_workers_lose_tasks(watch: Watch) -> None:
    await add_tasks(watch, "sweep", 8)
    sql(
        watch,
        "redemption",
        "UPDATE tasks SET claims_unreturned = 1, lease_until = now() - interval '1 s' WHERE state = 'ready'",
    )
    await watch.suite.worker.drain()
    assert await watch.firing() == {"WorkersLoseTasks"}


@pytest.mark.proves("G53", "G30")
async def test_fences_lost(watch: Watch) -> None:
    parts = parts_of(watch)
    await add_tasks(watch, "sweep", 8)
    async with parts.database.transaction() as conn:
        claims = await parts.tasks.claim(conn, ["sweep"], 8)
    sql(watch, "redemption", "UPDATE tasks SET token = token + 1 WHERE state = 'ready'")
    async with parts.database.transaction() as conn:
        assert await parts.tasks.finish(conn, claims) == set()
    assert await watch.firing() == {"FencesLost"}


@pytest.mark.proves("G53", "G19")
@pytest.mark.parametrize(
    ("alert", "state", "since"),
    [
        ("RedemptionStuckAccepted", "accepted", "3 minutes"),
        ("RedemptionStuckConfirmed", "confirmed", "6 minutes"),
        ("RedemptionStuckCancelling", "cancelling", "11 minutes"),
        ("RedemptionStuckDelivering", "delivering", "31 days"),
    ],
)
async def test_redemption_stuck(watch: Watch, alert: str, state: str, since: str) -> None:
    one = watch.world.facts["one"]
    sql(
        watch, "redemption", f"UPDATE redemptions SET state = '{state}', changed_at = now() - interval '1 s' WHERE id = %s", one
    )
    assert await watch.firing() == set()
    sql(watch, "redemption", f"UPDATE redemptions SET changed_at = now() - interval '{since}' WHERE id = %s", one)
    assert await watch.firing() == {alert}


@pytest.mark.proves("G53", "G8")
async def test_break_open(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reconciling.step_claimed.__kwdefaults__, "settle_seconds", 0.0)
    sql(watch, "redemption", "UPDATE lots SET remaining = remaining - 1")
    await add_tasks(watch, "reconcile", 1)
    await watch.suite.worker.drain()
    assert await watch.firing() == {"BreakOpen"}


@pytest.mark.proves("G53", "G8")
async def test_reconcile_not_run(watch: Watch) -> None:
    sql(
        watch, "redemption",
        "UPDATE reconciliation_runs SET started_at = now() - interval '21 minutes', ended_at = now() - interval '20 minutes'",
    )  # fmt: skip
    assert await watch.firing() == {"ReconcileNotRun"}


@pytest.mark.proves("G53")
async def test_server_errors(watch: Watch) -> None:
    headers = watch.suite.issuer.customer(watch.world.facts["subject"])
    customer = (await watch.suite.me(watch.world.facts["subject"]))["customer_id"]
    sql(watch, "redemption", "ALTER TABLE lots RENAME TO lots_elsewhere")
    try:
        answer = await watch.suite.client.get(f"/v1/customers/{customer}/points", headers=headers)
        assert answer.status_code == 500
    finally:
        sql(watch, "redemption", "ALTER TABLE lots_elsewhere RENAME TO lots")
    assert await watch.firing() == {"ServerErrors"}


@pytest.mark.proves("G53")
async def test_overloaded(watch: Watch) -> None:
    """Every connection is taken, and the callers wait in vain."""
    parts = parts_of(watch)

    @contextlib.asynccontextmanager
    async def taken() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as held:
            for _ in range(parts.settings.pool_size):
                await held.enter_async_context(parts.database.engine.connect())
            yield

    headers = watch.suite.issuer.service("operations", "reconcile:read")
    async with taken():
        asked = [watch.suite.client.get("/internal/v1/breaks", headers=headers) for _ in range(40)]
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {503}
    assert await watch.firing() == {"Overloaded", "ServerErrors"}


@pytest.mark.proves("G53")
async def test_neighbour_unreachable(watch: Watch) -> None:
    watch.suite.network.faults["catalog.test"] = "down"
    parts = parts_of(watch)
    try:
        for _ in range(4):
            with pytest.raises(NeighbourUnavailable):
                await parts.catalog.breaks()
    finally:
        rested(parts)
    assert await watch.firing() == {"NeighbourUnreachable"}


@pytest.mark.proves("G53")
async def test_courier_unreachable(watch: Watch) -> None:
    watch.suite.network.faults["courier.test"] = "lost-answer"
    async with httpx.AsyncClient(transport=watch.suite.network) as http:
        courier = courier_at("http://courier.test", "a key", http)
        await watch.begin()
        for _ in range(3):
            with pytest.raises(NeighbourUnavailable):
                await courier.look(str(uuid.uuid4()))
    assert await watch.firing() == {"CourierUnreachable"}


@pytest.mark.proves("G53")
async def test_notices_failing(watch: Watch) -> None:
    watch.suite.network.faults["notifications.test"] = "down"
    async with httpx.AsyncClient(transport=watch.suite.network) as http:
        gateway = notifications_at("http://notifications.test", "a key", http)
        await watch.begin()
        for _ in range(3):
            with pytest.raises(NeighbourUnavailable):
                await gateway.send(Message(uuid.uuid4(), "13800000000", "en", next(iter(NoticeKind)), "a text"))
    assert await watch.firing() == {"NoticesFailing"}


@pytest.mark.proves("G53", "G34")
async def test_signatures_refused(watch: Watch) -> None:
    [carrier] = watch.suite.fulfillment.state.parts.signatures._secrets
    headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,bm9ib2R5"}
    for _ in range(2):
        for _ in range(20):
            answer = await watch.suite.tills.post(f"/v1/carriers/{carrier}/events", json={}, headers=headers)
            assert answer.status_code == 401
        if "before" not in locals():  # the series is there from the first one on
            before = True
            await watch.begin()
    assert await watch.firing() == {"SignaturesRefused"}


@pytest.mark.proves("G53", "G17")
async def test_codes_guessed(watch: Watch) -> None:
    async def guess(terminal: str, times: int) -> None:
        for _ in range(times):
            body = {"code": "AAAA-BBBB-CCCC-DDDD"}
            answer = await watch.suite.tills.post(
                "/v1/verifications", json=body, headers=watch.suite.issuer.till("M001", terminal)
            )
            assert answer.status_code == 404, answer.text

    await guess("T01", 1)
    await watch.begin()
    await guess("T01", 8)
    await guess("T02", 9)
    assert await watch.firing() == {"CodesGuessed"}


async def ready_parcel(watch: Watch) -> str:
    """A parcel that lies ready at B001."""
    suite, headers = watch.suite, watch.suite.issuer.service("bank-feeds", "feeds:write")
    assert (await suite.tills.put("/v1/branches", json={"items": [branch()]}, headers=headers)).status_code == 200
    asked = wish(goods(), delivery=to_branch())
    body = {"actor": ACTOR, "items": [asked]}
    put = await suite.tills.put("/internal/v1/fulfillments", json=body, headers=suite.issuer.service())
    assert put.json()["items"][0]["outcome"] == "accepted", put.text
    await suite.fulfillment_worker.run_once(lane(suite.fulfillment_worker, "dispatch"))
    parcel = watch.world.value("fulfillment", "SELECT id FROM parcels WHERE fulfillment_id = %s", asked["id"])
    arrived = await suite.tills.put(f"/v1/parcels/{parcel}/arrival", headers=suite.issuer.staff("branch", branch="B001"))
    assert arrived.status_code == 200, arrived.text
    return parcel


async def guess_at_counter(watch: Watch, parcel: str, status: int, times: int) -> None:
    headers = watch.suite.issuer.staff("branch", branch="B001")
    for _ in range(times):
        answer = await watch.suite.tills.put(f"/v1/parcels/{parcel}/handover", json={"code": "no code"}, headers=headers)
        assert answer.status_code == status, answer.text


@pytest.mark.proves("G53", "F2")
async def test_pickup_codes_wrong(watch: Watch) -> None:
    parcels = [await ready_parcel(watch) for _ in range(3)]
    await guess_at_counter(watch, parcels[0], 409, 1)
    await watch.begin()
    for parcel in parcels:
        await guess_at_counter(watch, parcel, 409, 4)
    assert await watch.firing() == {"PickupCodesWrong"}


@pytest.mark.proves("G53", "F2")
async def test_pickup_codes_guessed(watch: Watch) -> None:
    parcel = await ready_parcel(watch)
    await guess_at_counter(watch, parcel, 409, 5)
    await guess_at_counter(watch, parcel, 429, 1)
    await watch.begin()
    await guess_at_counter(watch, parcel, 429, 4)
    assert await watch.firing() == {"PickupCodesGuessed"}


@pytest.mark.proves("G53")
@pytest.mark.parametrize(("alert", "job"), [("WorkerDown", "huangou-worker"), ("ServiceDown", "huangou-api")])
async def test_process_down(watch: Watch, alert: str, job: str) -> None:
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.1:1/metrics")
    watch.down = [job]
    assert await watch.firing() == {alert}


@pytest.mark.proves("G53")
async def test_keys_missing(watch: Watch) -> None:
    class Silent:
        async def fetch(self) -> dict[str, Any]:
            raise httpx.ConnectError("nobody listens")

    try:
        assert not await TokenVerifier(Silent(), issuer=ISSUER, audience=AUDIENCE).has_keys()
        assert await watch.firing() == {"KeysMissing"}
    finally:
        await TokenVerifier(watch.suite.issuer, issuer=ISSUER, audience=AUDIENCE).has_keys()


def test_every_alert_has_a_test_that_fires_it_and_a_page_that_says_what_to_do() -> None:
    code = Path(__file__).read_text(encoding="utf-8")
    fired = set(re.findall(r'== \{"(\w+)"', code)) | set(re.findall(r'\("(\w+)", "(?:\w|-)+"', code))
    assert fired >= rules().keys()
    page = (ROOT / "docs" / "runbooks" / "alerts.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == list(rules())
