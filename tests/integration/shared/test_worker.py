"""The worker on a real PostgreSQL: lanes, schedules, what failed, what is parked, and a clean end."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from shared.clock import DatabaseClock
from shared.database import Database, DatabaseUnavailable
from shared.errors import DomainError
from shared.tasks import Again, Claim, Handler, Lane, Schedule, Tasks, Worker
from shared.tasks.queue import CLAIMS_UNRETURNED_MAX
from tests.support.mechanisms import Mechanisms
from tests.support.task_steps import add, lose, new_task, tasks_with_lease

pytestmark = pytest.mark.anyio


class Finishing:
    """A handler that finishes whatever it is given, and remembers the sets."""

    def __init__(self, mechanisms: Mechanisms, tasks: Tasks) -> None:
        self.sets: list[list[Claim]] = []
        self._mechanisms, self._tasks = mechanisms, tasks

    async def __call__(self, claims: Sequence[Claim]) -> None:
        self.sets.append(list(claims))
        async with self._mechanisms.database.transaction() as conn:
            await self._tasks.finish(conn, claims)


def make_redemption_worker(
    mechanisms: Mechanisms, tasks: Tasks, *handlers: Handler, schedules: Sequence[Schedule] = (), batch: int = 32
) -> Worker:
    lanes = [Lane("only", handlers, batch=batch)] if handlers else []
    return Worker(mechanisms.database, tasks, DatabaseClock(), lanes, schedules)


async def test_two_nodes_write_a_scheduled_task_once_a_period(mechanisms: Mechanisms) -> None:
    schedules = [Schedule("expiry", "expire", every_seconds=3600)]
    workers = [make_redemption_worker(mechanisms, tasks_with_lease(), schedules=schedules) for _ in range(2)]
    await asyncio.gather(*[worker._tick() for worker in workers for _ in range(3)])
    [(kind, key, tick)] = await mechanisms.rows("SELECT kind, dedupe_key, (SELECT tick FROM schedule_ticks) FROM tasks")
    assert (kind, key) == ("expire", "expiry")
    assert tick.minute == tick.second == tick.microsecond == 0


async def test_a_handler_gets_its_tasks_as_a_set_and_drain_ends_when_nothing_is_due(mechanisms: Mechanisms) -> None:
    tasks = tasks_with_lease()
    apples, pears = Finishing(mechanisms, tasks), Finishing(mechanisms, tasks)
    await add(mechanisms, *[new_task("apple") for _ in range(5)], new_task("pear"))
    worker = make_redemption_worker(
        mechanisms, tasks, Handler("apple", apples), Handler("pear", pears), Handler("plum", pears), batch=4
    )
    assert await worker.drain() == 6
    assert sum(map(len, apples.sets)) == 5
    assert sum(map(len, pears.sets)) == 1
    assert await mechanisms.value("SELECT count(*) FROM tasks WHERE state = 'done'") == 6


async def test_what_a_handler_says_failed_is_deferred_and_the_rest_stays_done(mechanisms: Mechanisms) -> None:
    tasks = tasks_with_lease()

    async def handle(claims: Sequence[Claim]) -> dict[UUID, Again]:
        async with mechanisms.database.transaction() as conn:
            await tasks.finish(conn, claims[1:])
        return {claims[0].id: Again("not now", after_seconds=60.0)}

    await add(mechanisms, *[new_task() for _ in range(3)])
    assert (
        await make_redemption_worker(mechanisms, tasks, Handler("work", handle)).run_once(Lane("l", [Handler("work", handle)]))
        == 3
    )
    found = await mechanisms.rows("SELECT state, failures, last_error FROM tasks ORDER BY state")
    assert found == [("done", 0, None), ("done", 0, None), ("ready", 1, "not now")]


class ShopClosed(DomainError):
    """The shop is closed."""


@pytest.mark.parametrize(
    ("raised", "kept"), [(ValueError("phone 13812345678"), "ValueError"), (ShopClosed(), "The shop is closed.")]
)
async def test_an_exception_is_a_clean_failure_of_what_was_not_finished_and_its_text_is_not_kept(
    mechanisms: Mechanisms, raised: Exception, kept: str
) -> None:
    tasks = tasks_with_lease()

    async def handle(claims: Sequence[Claim]) -> None:
        async with mechanisms.database.transaction() as conn:
            await tasks.finish(conn, claims[:1])
        raise raised

    await add(mechanisms, new_task(), new_task())
    lane = Lane("l", [Handler("work", handle)])
    assert await make_redemption_worker(mechanisms, tasks).run_once(lane) == 2
    found = await mechanisms.rows("SELECT state, failures, claims_unreturned, last_error FROM tasks ORDER BY state")
    assert found == [("done", 0, 0, None), ("ready", 1, 0, kept)]


async def test_a_step_that_takes_too_long_is_a_clean_failure(mechanisms: Mechanisms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.tasks.worker.STEP_SECONDS_MAX", 0.05)

    async def handle(claims: Sequence[Claim]) -> None:
        await asyncio.sleep(5)

    await add(mechanisms, new_task())
    await make_redemption_worker(mechanisms, tasks_with_lease()).run_once(Lane("l", [Handler("work", handle)]))
    assert await mechanisms.value("SELECT last_error FROM tasks") == "TimeoutError"


async def test_one_that_always_raises_does_not_hold_up_those_beside_it(mechanisms: Mechanisms) -> None:
    """A set that fails is given back with times of their own, so that the rotten one is soon alone."""
    tasks = tasks_with_lease()

    async def handle(claims: Sequence[Claim]) -> None:
        if any(c.payload for c in claims):
            raise ValueError
        async with mechanisms.database.transaction() as conn:
            await tasks.finish(conn, claims)

    await add(mechanisms, new_task(payload={"rotten": True}), *[new_task() for _ in range(12)])
    worker = make_redemption_worker(mechanisms, tasks, Handler("work", handle))
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        while await mechanisms.value("SELECT count(*) FROM tasks WHERE state = 'done'") != 12:
            await asyncio.sleep(0.1)
    worker.stop()
    await running


async def test_the_worker_parks_counts_and_ends_when_told(mechanisms: Mechanisms) -> None:
    tasks = tasks_with_lease()
    handler = Finishing(mechanisms, tasks)
    await add(mechanisms, new_task())
    await lose(mechanisms, CLAIMS_UNRETURNED_MAX)
    await add(mechanisms, new_task())
    worker = make_redemption_worker(mechanisms, tasks, Handler("work", handler), schedules=[Schedule("s", "other", 60)])
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while await mechanisms.value("SELECT count(*) FROM tasks WHERE state <> 'ready'") != 2:
            await asyncio.sleep(0.02)
    await worker._keep_house()
    assert REGISTRY.get_sample_value("huangou_tasks_parked", {"kind": "work"}) == 1
    assert REGISTRY.get_sample_value("huangou_task_oldest_due_seconds", {"kind": "other"}) >= 0
    worker.stop()
    async with asyncio.timeout(3):
        await running
    assert sum(map(len, handler.sets)) == 1


async def test_a_worker_lives_through_an_error_of_the_database(mechanisms: Mechanisms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.tasks.worker.POLL_AFTER_ERROR_SECONDS", 0.01)
    tasks = tasks_with_lease()
    handler = Finishing(mechanisms, tasks)
    worker = make_redemption_worker(mechanisms, tasks, Handler("work", handler))
    mechanisms.as_owner("ALTER TABLE tasks RENAME TO tasks_hidden")
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    mechanisms.as_owner("ALTER TABLE tasks_hidden RENAME TO tasks")
    await add(mechanisms, new_task())
    async with asyncio.timeout(10):
        while not handler.sets:
            await asyncio.sleep(0.02)
    worker.stop()
    await running


async def test_without_a_database_the_caller_is_told_so(mechanisms: Mechanisms) -> None:
    nowhere = Database("postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailable):
        await make_redemption_worker(Mechanisms(mechanisms.place, nowhere), tasks_with_lease()).run_once(Lane("l", []))


@pytest.mark.proves("G53")
async def test_a_task_that_is_taken_again_after_a_lost_claim_is_counted(mechanisms: Mechanisms) -> None:
    def lost() -> float:
        return REGISTRY.get_sample_value("huangou_claims_lost_total", {"kind": "work"}) or 0.0

    tasks = tasks_with_lease()
    worker = make_redemption_worker(mechanisms, tasks, Handler("work", Finishing(mechanisms, tasks)))
    await add(mechanisms, new_task())
    before = lost()
    await lose(mechanisms, 1)
    assert lost() == before
    assert await worker.drain() == 1
    assert lost() == before + 1


@pytest.mark.proves("G53")
async def test_what_is_late_and_what_is_parked_is_told_by_kind_and_goes_away(mechanisms: Mechanisms) -> None:
    def told(name: str, kind: str) -> float | None:
        return REGISTRY.get_sample_value(f"huangou_{name}", {"kind": kind})

    tasks = tasks_with_lease()
    worker = make_redemption_worker(mechanisms, tasks, Handler("work", Finishing(mechanisms, tasks)))
    mechanisms.as_owner(
        "INSERT INTO tasks (id, kind, run_at, state) VALUES "
        "(gen_random_uuid(), 'work', now() - interval '90 seconds', 'ready'), "
        "(gen_random_uuid(), 'work', now() - interval '30 seconds', 'ready'), "
        "(gen_random_uuid(), 'of another release', now() - interval '200 seconds', 'ready'), "
        "(gen_random_uuid(), 'timer', now() + interval '1 day', 'ready'), (gen_random_uuid(), 'work', now(), 'parked')"
    )
    await worker.measure()
    assert 90 <= (told("task_oldest_due_seconds", "work") or 0) < 120
    assert 200 <= (told("task_oldest_due_seconds", "of another release") or 0) < 230
    assert told("task_oldest_due_seconds", "timer") == 0
    assert told("tasks_parked", "work") == 1
    mechanisms.as_owner("DELETE FROM tasks WHERE state = 'ready'")
    await worker.measure()
    assert told("task_oldest_due_seconds", "work") == 0
    assert told("task_oldest_due_seconds", "of another release") is None
