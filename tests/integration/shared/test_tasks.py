"""Tasks on a real PostgreSQL: what is written down is done, by whoever holds its token."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from shared.ids import new_id
from shared.tasks import Again, Claim
from shared.tasks.queue import _CLAIM, BACKOFF_SECONDS_MAX, CLAIMS_UNRETURNED_MAX, backoff_seconds
from shared.tasks.tables import PAYLOAD_BYTES_MAX
from tests.support.mechanisms import Mechanisms
from tests.support.task_steps import PAST, add, claim, defer, finish, lose, new_task, park, tasks_with_lease

pytestmark = pytest.mark.anyio


async def test_a_task_is_claimed_once_carried_whole_and_done(mechanisms: Mechanisms) -> None:
    ref = new_id()
    await add(mechanisms, new_task(ref=ref, payload={"点": [1, {"x": None}]}))
    [held] = await claim(mechanisms)
    assert (held.ref, held.payload, held.token, held.failures) == (ref, {"点": [1, {"x": None}]}, 1, 0)
    assert await claim(mechanisms) == []
    assert await finish(mechanisms, held) == {held.id}
    assert await mechanisms.value("SELECT state FROM tasks") == "done"
    assert await claim(mechanisms) == []
    assert await finish(mechanisms, held) == set()


async def test_a_task_that_rolls_back_with_its_business_was_never_there(mechanisms: Mechanisms) -> None:
    async def fail() -> None:
        async with mechanisms.database.transaction() as conn:
            await tasks_with_lease().add(conn, [new_task()])
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await claim(mechanisms) == []


async def test_nothing_is_claimed_before_its_time_nor_of_another_kind(mechanisms: Mechanisms) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await add(mechanisms, new_task(run_at=later), new_task(kind="other"))
    assert await claim(mechanisms) == []
    assert [held.kind for held in await claim(mechanisms, "other", "work")] == ["other"]


async def test_the_longest_due_are_claimed_first_and_no_more_than_asked(mechanisms: Mechanisms) -> None:
    await add(mechanisms, *[new_task(ref=UUID(int=n), run_at=PAST + timedelta(days=n)) for n in (3, 1, 2)])
    assert {held.ref.int for held in await claim(mechanisms, most=2)} == {1, 2}


async def test_finishing_or_deferring_nothing_asks_nothing(mechanisms: Mechanisms) -> None:
    assert await finish(mechanisms) == set()
    async with mechanisms.database.transaction() as conn:
        assert await tasks_with_lease().defer(conn, []) == set()
        assert await tasks_with_lease().add(conn, []) == []


async def test_two_claimers_never_hold_the_same_task(mechanisms: Mechanisms) -> None:
    await add(mechanisms, *[new_task() for _ in range(40)])
    shares = await asyncio.gather(*[claim(mechanisms, most=10) for _ in range(6)])
    ids = [held.id for share in shares for held in share]
    assert len(ids) == len(set(ids)) == 40


async def test_two_claimers_never_hold_the_same_suspect(mechanisms: Mechanisms) -> None:
    await add(mechanisms, *[new_task() for _ in range(6)])
    await lose(mechanisms, 2)
    for _ in range(3):
        shares = await asyncio.gather(*[claim(mechanisms, lease=0.5) for _ in range(8)])
        ids = [held.id for share in shares for held in share]
        assert len(ids) == len(set(ids)) <= 6
        await mechanisms.rows("UPDATE tasks SET lease_until = NULL, claims_unreturned = 2 RETURNING 1")


@pytest.mark.proves("G30")
async def test_whoever_lost_the_lease_finishes_and_defers_nothing(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    [stale] = await claim(mechanisms, lease=0.0)
    [fresh] = await claim(mechanisms)
    assert fresh.token == stale.token + 1
    assert await finish(mechanisms, stale) == set()
    assert await defer(mechanisms, stale, Again("late")) == set()
    assert await finish(mechanisms, fresh) == {fresh.id}


async def test_one_lost_lease_in_a_set_drops_only_that_one(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task(ref=UUID(int=1)), new_task(ref=UUID(int=2)))
    held = {c.ref.int: c for c in await claim(mechanisms, lease=0.0)}
    await mechanisms.rows("UPDATE tasks SET token = token + 1 WHERE ref = :ref RETURNING 1", ref=UUID(int=1))
    assert await finish(mechanisms, *held.values()) == {held[2].id}


async def test_a_lease_that_ran_out_without_another_owner_still_finishes(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    [held] = await claim(mechanisms, lease=0.0)
    assert await finish(mechanisms, held) == {held.id}


async def test_the_writer_may_start_on_its_own_task_at_once(mechanisms: Mechanisms) -> None:
    now = datetime.now(UTC)
    claims = await add(
        mechanisms,
        new_task(kind="z", run_at=now, leased_seconds=20.0, payload={"n": 1}),
        new_task(kind="b", run_at=now),
        new_task(kind="a", run_at=now, leased_seconds=20.0, payload={"n": 2}),
    )
    assert [c.payload["n"] for c in claims] == [1, 2]
    assert [held.kind for held in await claim(mechanisms, "a", "b", "z")] == ["b"]
    assert await finish(mechanisms, *claims) == {c.id for c in claims}


async def test_a_leased_task_goes_to_another_when_its_writer_dies(mechanisms: Mechanisms) -> None:
    [own] = await add(mechanisms, new_task(run_at=PAST, leased_seconds=1.0))
    [held] = await claim(mechanisms)
    assert (held.id, held.token) == (own.id, 2)
    assert await mechanisms.value("SELECT claims_unreturned FROM tasks") == 2
    assert await finish(mechanisms, own) == set()


async def test_a_duplicate_of_a_waiting_task_adds_none_and_moves_it_forward(mechanisms: Mechanisms) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await add(mechanisms, new_task(dedupe_key="k", run_at=later))
    await add(mechanisms, new_task(dedupe_key="k", run_at=later + timedelta(hours=1)))
    assert await mechanisms.value("SELECT run_at FROM tasks") == later
    assert await add(mechanisms, new_task(dedupe_key="k", leased_seconds=5.0)) == []
    [held] = await claim(mechanisms)
    assert await finish(mechanisms, held) == {held.id}
    assert await mechanisms.rows("SELECT state FROM tasks") == [("done",)]


async def test_a_duplicate_of_a_running_task_makes_it_run_again(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task(dedupe_key="k"))
    [first] = await claim(mechanisms)
    await add(mechanisms, new_task(dedupe_key="k"))
    assert await finish(mechanisms, first) == {first.id}
    [second] = await claim(mechanisms)
    assert second.id == first.id
    await finish(mechanisms, second)
    assert await claim(mechanisms) == []


async def test_a_running_task_that_fails_cleanly_and_was_asked_again_runs_at_once(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task(dedupe_key="k"))
    [held] = await claim(mechanisms)
    await add(mechanisms, new_task(dedupe_key="k"))
    await defer(mechanisms, held, Again("busy", after_seconds=60.0))
    assert [c.id for c in await claim(mechanisms)] == [held.id]


async def test_a_duplicate_that_meets_the_finish_is_never_lost(mechanisms: Mechanisms) -> None:
    """Whatever the order of the two commits, somebody runs after the duplicate was written."""
    for _ in range(20):
        await add(mechanisms, new_task(dedupe_key="k"))
        [held] = await claim(mechanisms)
        await asyncio.gather(finish(mechanisms, held), add(mechanisms, new_task(dedupe_key="k")))
        again = await claim(mechanisms)
        assert len(again) == 1
        await finish(mechanisms, *again)


async def test_the_same_thing_asked_often_in_one_call_is_one_task_at_the_earliest_time(mechanisms: Mechanisms) -> None:
    later = [new_task(dedupe_key="k", run_at=PAST + timedelta(days=days)) for days in (1, 0, 2)]
    await add(mechanisms, *later, new_task())
    assert await mechanisms.rows("SELECT dedupe_key, run_at FROM tasks ORDER BY dedupe_key") == [("k", PAST), (None, PAST)]


async def test_after_its_end_the_same_thing_is_a_new_task(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task(dedupe_key="k"))
    await finish(mechanisms, *await claim(mechanisms))
    await add(mechanisms, new_task(dedupe_key="k"))
    assert len(await claim(mechanisms)) == 1


async def test_transactions_with_the_same_keys_in_other_orders_do_not_deadlock(mechanisms: Mechanisms) -> None:
    """Whoever comes second waits at the first key in order, and holds none that the other one still wants."""
    tasks, begun = tasks_with_lease(), asyncio.Event()

    async def other_way_round() -> None:
        await begun.wait()
        await add(mechanisms, new_task(dedupe_key="b"), new_task(dedupe_key="a"))

    second = asyncio.create_task(other_way_round())
    async with mechanisms.database.transaction() as conn:
        await tasks.add(conn, [new_task(dedupe_key="a")])
        begun.set()
        await asyncio.sleep(0.5)
        assert not second.done()
        await tasks.add(conn, [new_task(dedupe_key="b")])
    await second
    assert await mechanisms.value("SELECT count(*) FROM tasks") == 2


@pytest.mark.proves("G25")
async def test_a_clean_failure_backs_off_and_resets_the_lost_claims(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    await lose(mechanisms, CLAIMS_UNRETURNED_MAX - 1)
    [held] = await claim(mechanisms, lease=0.0)
    await defer(mechanisms, held, Again("shop closed " + "x" * 600, after_seconds=0.0))
    [(claims, failures, error)] = await mechanisms.rows("SELECT claims_unreturned, failures, last_error FROM tasks")
    assert (claims, failures, len(error), error[:11]) == (0, 1, 500, "shop closed")
    assert await park(mechanisms) == []
    [held] = await claim(mechanisms)
    assert held.failures == 1
    await defer(mechanisms, held, Again("closed", after_seconds=60.0))
    assert await claim(mechanisms) == []


@pytest.mark.proves("G25")
async def test_clean_failures_have_no_end(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    for _ in range(4 * CLAIMS_UNRETURNED_MAX):
        [held] = await claim(mechanisms)
        await defer(mechanisms, held, Again("closed", after_seconds=0.0))
        assert await park(mechanisms) == []
    [held] = await claim(mechanisms)
    assert held.failures == 4 * CLAIMS_UNRETURNED_MAX


async def test_without_a_time_of_its_own_a_failure_waits_by_the_back_off(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    [held] = await claim(mechanisms)
    await defer(mechanisms, Claim(**{**held.__dict__, "failures": 12}), Again("closed"))
    seconds = await mechanisms.value("SELECT extract(epoch FROM run_at - changed_at) FROM tasks")
    assert 0 <= float(seconds) <= BACKOFF_SECONDS_MAX
    assert all(0 <= backoff_seconds(n) <= min(60.0, 0.2 * 2**n) for n in range(40))
    assert max(backoff_seconds(40) for _ in range(200)) > 30.0


@pytest.mark.proves("G25")
async def test_five_claims_that_never_came_back_park_a_task_with_its_last_error(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    [held] = await claim(mechanisms)
    await defer(mechanisms, held, Again("printer on fire", after_seconds=0.0))
    await lose(mechanisms, CLAIMS_UNRETURNED_MAX - 1)
    assert await park(mechanisms) == []
    await lose(mechanisms, 1)
    assert await park(mechanisms, "other") == []
    assert await park(mechanisms) == [(held.id, "work")]
    assert await claim(mechanisms) == []
    [(state, error, lease)] = await mechanisms.rows("SELECT state, last_error, lease_until FROM tasks")
    assert (state, lease) == ("parked", None)
    assert error == "taken 5 times and never returned; printer on fire"


async def test_the_fifth_claim_is_not_parked_while_its_lease_runs(mechanisms: Mechanisms) -> None:
    await add(mechanisms, new_task())
    await lose(mechanisms, CLAIMS_UNRETURNED_MAX - 1)
    [held] = await claim(mechanisms)
    assert await park(mechanisms) == []
    assert await finish(mechanisms, held) == {held.id}


@pytest.mark.proves("G25")
async def test_what_was_lost_twice_is_taken_alone(mechanisms: Mechanisms) -> None:
    """Were one of a set to kill its process, the others would be parked with it if they went on sharing its claims."""
    await add(mechanisms, *[new_task() for _ in range(3)])
    await lose(mechanisms, 2)
    await add(mechanisms, *[new_task() for _ in range(2)])
    sizes = [len(await claim(mechanisms)) for _ in range(5)]
    assert sizes == [1, 1, 1, 2, 0]


async def test_the_purge_takes_what_was_done_long_ago_and_nothing_else(mechanisms: Mechanisms) -> None:
    await add(mechanisms, *[new_task(ref=UUID(int=n)) for n in range(4)])
    await finish(mechanisms, *await claim(mechanisms, most=3))
    await mechanisms.rows(
        "UPDATE tasks SET changed_at = changed_at - interval '2 days' WHERE ref <> :r RETURNING 1", r=UUID(int=2)
    )
    async with mechanisms.database.transaction() as conn:
        assert await tasks_with_lease().purge_done(conn, older_than_seconds=86_400, most=1) == 1
        assert await tasks_with_lease().purge_done(conn, older_than_seconds=86_400) == 1
    left = await mechanisms.rows("SELECT ref, state FROM tasks ORDER BY ref")
    assert [(ref.int, state) for ref, state in left] == [(2, "done"), (3, "ready")]


async def test_the_purge_keeps_the_last_tick_of_a_schedule_however_old(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        tasks = tasks_with_lease()
        for days in (0, 1, 2):
            await tasks.tick(conn, "yearly", PAST + timedelta(days=days))
        await tasks.purge_done(conn, older_than_seconds=60)
        assert not await tasks.tick(conn, "yearly", PAST + timedelta(days=2))
    assert await mechanisms.value("SELECT count(*) FROM schedule_ticks") == 1


async def test_a_moment_of_a_schedule_belongs_to_one_node(mechanisms: Mechanisms) -> None:
    async def try_it() -> bool:
        async with mechanisms.database.transaction() as conn:
            return await tasks_with_lease().tick(conn, "nightly", PAST)

    assert sorted(await asyncio.gather(*[try_it() for _ in range(6)])) == [False] * 5 + [True]
    async with mechanisms.database.transaction() as conn:
        assert await tasks_with_lease().tick(conn, "nightly", PAST + timedelta(seconds=1))


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "claims_unreturned = -1",
        "state = 'done', lease_until = now()",
        f"payload = to_jsonb(repeat('x', {PAYLOAD_BYTES_MAX}))",
    ],
)
async def test_the_database_refuses_a_task_that_cannot_be(mechanisms: Mechanisms, change: str) -> None:
    await add(mechanisms, new_task())
    with pytest.raises(IntegrityError):
        async with mechanisms.database.transaction() as conn:
            await conn.execute(text(f"UPDATE tasks SET {change}"))


async def test_claiming_reads_what_is_due_and_not_every_timer_ahead(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        await conn.execute(
            text("INSERT INTO tasks (id, kind, run_at) SELECT gen_random_uuid(), 'work', now() + interval '1 day' "
                 "FROM generate_series(1, 5000)")
        )  # fmt: skip
    mechanisms.as_owner("ANALYZE tasks")
    values = {"kinds": ["work"], "most": 10, "lease": 1.0, "claims_max": 5}
    async with mechanisms.database.transaction() as conn:
        plan = await conn.execute(text("EXPLAIN (ANALYZE, FORMAT JSON) " + _CLAIM.text), values)
        assert '"Rows Removed by Filter": 5000' not in str(plan.scalar_one()).replace("'", '"')


@pytest.mark.parametrize("counted", [True, False])
async def test_a_long_queue_is_claimed_by_reading_a_batch_and_not_the_queue(mechanisms: Mechanisms, counted: bool) -> None:
    """Or else the longer the queue is, the slower it gets shorter; statistics come long after a queue has grown."""
    mechanisms.as_owner(
        "INSERT INTO tasks (id, kind, run_at) SELECT gen_random_uuid(), 'work', now() - interval '1 minute'"
        " FROM generate_series(1, 20000)"
    )
    if counted:
        mechanisms.as_owner("ANALYZE tasks")
    queue = tasks_with_lease()
    read = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'tasks'")
    async with mechanisms.database.transaction() as conn:
        assert await queue.park_lost(conn, ["work"]) == []
        assert len(await queue.claim(conn, ["work"], 64)) == 64
        assert (await conn.execute(read)).scalar_one() < 1000
