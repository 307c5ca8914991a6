"""Reconciling as a job: steps that leave their place, rows for what they find, and an end for what is mended (G8)."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from services.redemption.parts import Parts
from services.redemption.reconciliation import between, use_cases
from services.redemption.reconciliation.domain import OWNERS
from services.redemption.reconciliation.use_cases import RECONCILE, STEP, TRIES_MAX
from shared.tasks import NewTask
from tests.integration.reconciliation.damage import Damage
from tests.integration.reconciliation.test_damage import DAMAGES
from tests.integration.reconciliation.world import World, lane
from tests.support.redemption import rested

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[None]:
    """Nothing changes here by itself, so nothing has to settle; each test finds no run and no break, and leaves none."""
    monkeypatch.setitem(use_cases.step_claimed.__kwdefaults__, "settle_seconds", 0.0)
    monkeypatch.setitem(use_cases.reconcile.__kwdefaults__, "settle_seconds", 0.0)
    yield
    with world.unguarded("redemption") as conn:
        for table in ("breaks", "reconciliation_runs", "tasks WHERE kind IN ('reconcile', 'reconcile_step')"):
            conn.execute(f"DELETE FROM {table}".encode())
        conn.commit()


async def run_job(world: World) -> int:
    """The schedule's moment, and every step that follows; answers how many tasks that were."""
    parts: Parts = world.suite.redemption.state.parts
    async with parts.database.transaction() as conn:
        now = await parts.clock.now(conn)
        await parts.tasks.add(conn, [NewTask(kind=RECONCILE, run_at=now, dedupe_key=RECONCILE)])
    steps = 0
    while await world.suite.worker.run_once(lane(world.suite.worker, "reconcile")):
        steps += 1
    return steps


def rows(world: World, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(world.databases["redemption"].superuser_url, row_factory=dict_row) as conn:
        return list(conn.execute(query.encode()))


async def breaks(world: World, **query: Any) -> list[dict[str, Any]]:
    headers = world.suite.issuer.service("operations", "reconcile:read")
    answer = await world.suite.client.get("/internal/v1/breaks", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@pytest.mark.proves("G8")
@pytest.mark.parametrize("case", DAMAGES, ids=lambda case: case.name.replace(" ", "-"))
async def test_the_job_finds_damage_keeps_it_and_ends_it_when_it_is_mended(world: World, case: Damage) -> None:
    expected = {(where, kind, world.filled(subject)) for where, kind, subject in case.found}
    found = {}
    with world.damaged(case.service, *case.statements):
        await run_job(world)
        found = {(b["service"], b["kind"], b["subject"]): b for b in await breaks(world, open=True)}
        [run] = rows(world, "SELECT * FROM reconciliation_runs ORDER BY started_at DESC LIMIT 1")
    assert found.keys() == expected
    assert all(b["owner"] == OWNERS[b["kind"]] for b in found.values())
    assert (run["breaks"], run["error"], run["asked_by"]) == (len(expected), None, "schedule")
    assert run["ended_at"] is not None


@pytest.mark.proves("G8")
async def test_a_break_is_one_row_from_first_seen_to_gone(world: World) -> None:
    subject = world.facts["lot"]
    move = "UPDATE lots SET remaining = remaining + %s WHERE id = %s"
    with world.unguarded("redemption") as conn:
        conn.execute(move, [-1, subject])
        conn.commit()
        await run_job(world)
        first = {b["id"]: b for b in await breaks(world, open=True)}
        await run_job(world)
        second = {b["id"]: b for b in await breaks(world, open=True)}
        assert first.keys() == second.keys()
        assert {b["kind"] for b in first.values()} == {"lot-drifted", "account-and-lots-differ"}
        for key, b in second.items():
            assert b["first_seen_at"] == first[key]["first_seen_at"]
            assert b["last_seen_at"] > first[key]["last_seen_at"]
        conn.execute(move, [1, subject])
        conn.commit()
    await run_job(world)
    assert await breaks(world, open=True) == []
    ended = await breaks(world, open=False)
    assert {b["id"] for b in ended} == set(first)
    assert all(b["ended_at"] > b["last_seen_at"] for b in ended)


@pytest.mark.proves("G8")
async def test_what_an_operator_asks_for_now_is_kept_in_the_same_rows(world: World) -> None:
    headers = world.suite.issuer.service("operations", "reconcile:read")
    with world.damaged("catalog", "UPDATE quotas SET total_taken = total_taken + 1 WHERE offer_id = '{offer}'"):
        report = (await world.suite.client.get("/internal/v1/reconciliation", headers=headers)).json()
        assert [b["kind"] for b in report["breaks"]] == ["quota"]
        [kept] = await breaks(world, open=True)
        assert (kept["service"], kept["kind"], kept["owner"]) == ("catalog", "quota", "stock")
    await world.suite.client.get("/internal/v1/reconciliation", headers=headers)
    assert await breaks(world, open=True) == []
    asked_by = {run["asked_by"] for run in rows(world, "SELECT asked_by FROM reconciliation_runs")}
    assert "service:operations" in asked_by


@pytest.mark.proves("G8")
async def test_a_long_run_goes_in_steps_and_each_begins_where_the_last_one_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "STEP_SECONDS", 0.0)  # one part a step
    monkeypatch.setattr(between, "PAGE", 2)
    with world.damaged("redemption", "DELETE FROM tasks WHERE ref = '{accepted}'"):
        steps = await run_job(world)
        assert steps > 6
        assert [b["kind"] for b in await breaks(world, open=True)] == ["redemption-without-task"]
        [run] = rows(world, "SELECT * FROM reconciliation_runs ORDER BY started_at DESC LIMIT 1")
        [counted] = rows(world, "SELECT count(*) AS redemptions FROM redemptions")
        assert run["redemptions"] == counted["redemptions"]


@pytest.mark.proves("G8", "G30")
async def test_a_step_whose_lease_was_lost_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    look = use_cases._look_for_a_while

    async def slow(*given: Any) -> Any:
        seen = await look(*given)
        with world.unguarded("redemption") as conn:
            conn.execute("UPDATE tasks SET token = token + 1 WHERE kind = 'reconcile_step' AND state = 'ready'")
            conn.commit()
        return seen

    with world.damaged("redemption", "UPDATE lots SET held = held + 1 WHERE id = '{lot}'"):
        monkeypatch.setattr(use_cases, "_look_for_a_while", slow)
        assert await run_job(world) == 2
        assert await breaks(world) == []
        [run] = rows(world, "SELECT * FROM reconciliation_runs ORDER BY started_at DESC LIMIT 1")
        assert (run["redemptions"], run["ended_at"]) == (0, None)


@pytest.mark.proves("G8")
async def test_a_run_that_a_neighbour_does_not_answer_is_given_up_and_ends_no_break(world: World) -> None:
    with world.damaged("redemption", "UPDATE lots SET remaining = remaining - 1 WHERE id = '{lot}'"):
        await run_job(world)
        known = await breaks(world, open=True)
        assert known
    world.suite.network.faults["fulfillment.test"] = "down"
    try:
        await run_job(world)
        for _ in range(TRIES_MAX):
            with world.unguarded("redemption") as conn:
                conn.execute("UPDATE tasks SET run_at = now() WHERE kind = 'reconcile_step' AND state = 'ready'")
                conn.commit()
            await world.suite.worker.run_once(lane(world.suite.worker, "reconcile"))
    finally:
        world.suite.network.faults.clear()
        rested(world.suite.redemption.state.parts)
    [run] = rows(world, "SELECT * FROM reconciliation_runs ORDER BY started_at DESC LIMIT 1")
    assert run["error"] == "The other service could not be reached: nothing was carried out."
    assert run["ended_at"] is not None


@pytest.mark.proves("G8")
async def test_a_second_run_waits_until_the_first_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "STEP_SECONDS", 0.0)
    parts: Parts = world.suite.redemption.state.parts
    before = len(rows(world, "SELECT id FROM reconciliation_runs"))
    for _ in range(2):
        async with parts.database.transaction() as conn:
            await parts.tasks.add(conn, [NewTask(kind=RECONCILE, run_at=await parts.clock.now(conn), dedupe_key="x")])
        await world.suite.worker.run_once(lane(world.suite.worker, "reconcile"))
    assert len(rows(world, "SELECT id FROM reconciliation_runs")) == before + 1
    while await world.suite.worker.run_once(lane(world.suite.worker, "reconcile")):
        pass
    [left] = rows(world, f"SELECT count(*) AS live FROM tasks WHERE kind IN ('{STEP}', '{RECONCILE}') AND state = 'ready'")
    assert left["live"] == 0


async def test_breaks_are_shown_page_by_page_with_their_age(world: World) -> None:
    began = datetime.now(UTC) - timedelta(hours=2)
    with world.unguarded("redemption") as conn:
        for number in range(5):
            conn.execute(
                "INSERT INTO breaks (id, service, kind, subject, detail, owner, first_seen_at, last_seen_at) "
                "VALUES (%s, 'catalog', 'quota', %s, 'x', 'stock', %s, %s)",
                [uuid.UUID(int=number + 1), f"s{number}", began, began],
            )
        conn.commit()
    headers = world.suite.issuer.staff("auditor")
    seen, cursor = [], None
    while True:
        query: dict[str, Any] = {"open": True, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await world.suite.client.get("/internal/v1/breaks", params=query, headers=headers)).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [b["subject"] for b in seen] == ["s4", "s3", "s2", "s1", "s0"]
    assert all(7200 <= b["age_seconds"] < 7300 for b in seen)
