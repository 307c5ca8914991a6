"""Worker processes are killed, paused and cut off; every item is written exactly once all the same.

The controls leave out one part of the fence each and must show the damage: a loop that cannot see damage proves nothing.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from shared.clock import DatabaseClock
from shared.ids import new_id
from shared.tasks import NewTask, Tasks
from tests.support.mechanisms import Mechanisms, task_tables

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
SOAK = os.environ.get("HUANGOU_SOAK") == "1"
LEASE_SECONDS = 0.6
BLOWS = 80 if SOAK else 8
ITEMS_PER_BLOW = 40


class Crew:
    """Worker processes that are started again whenever one has died, as a supervisor would."""

    def __init__(self, url: str, *, order: str, size: int, failpoints: str = "") -> None:
        self.deaths = 0
        self._environment = {
            **os.environ, "LEDGER_URL": url, "LEDGER_LEASE": str(LEASE_SECONDS), "LEDGER_ORDER": order,
        }  # fmt: skip
        self.members = [self._hire(failpoints) for _ in range(size)]

    def _hire(self, failpoints: str = "") -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.ledger_worker"],
            cwd=ROOT,
            env={**self._environment, "HUANGOU_FAILPOINTS": failpoints},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def replace_the_dead(self) -> None:
        for place, member in enumerate(self.members):
            if member.poll() is not None:
                self.deaths += 1
                self.members[place] = self._hire()

    def dismiss(self) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.send_signal(signal.SIGCONT)
            member.kill()
            member.wait()


@contextlib.contextmanager
def crew_of(mechanisms: Mechanisms, *, order: str = "fenced", size: int = 3, failpoints: str = "") -> Iterator[Crew]:
    crew = Crew(mechanisms.place.url, order=order, size=size, failpoints=failpoints)
    try:
        yield crew
    finally:
        crew.dismiss()


async def add_items(mechanisms: Mechanisms, count: int, **payload: object) -> None:
    async with mechanisms.database.transaction() as conn:
        now = await DatabaseClock().now(conn)
        await Tasks(task_tables).add(
            conn, [NewTask(kind="item", ref=new_id(), run_at=now, payload=payload) for _ in range(count)]
        )


async def all_ended(mechanisms: Mechanisms, crew: Crew, *, seconds: float = 60.0) -> None:
    """Wait until no task is open, replacing who died; nobody else steps in."""
    until = time.monotonic() + seconds
    while await mechanisms.value("SELECT count(*) FROM tasks WHERE state = 'ready'"):
        assert time.monotonic() < until, await mechanisms.rows(
            "SELECT state, claims_unreturned, count(*) FROM tasks GROUP BY 1, 2"
        )
        crew.replace_the_dead()
        await asyncio.sleep(0.1)


async def damage(mechanisms: Mechanisms) -> tuple[object, object]:
    """How many items of finished tasks stand in the ledger more than once, and how many do not stand there at all."""
    doubled = await mechanisms.value("SELECT count(*) FROM (SELECT item FROM ledger GROUP BY item HAVING count(*) > 1) AS d")
    lost = await mechanisms.value(
        "SELECT count(*) FROM tasks WHERE state = 'done' AND NOT EXISTS (SELECT FROM ledger WHERE item = tasks.ref)"
    )
    return doubled, lost


async def strike(crew: Crew, mechanisms: Mechanisms, chance: random.Random, blow: str) -> None:
    """One blow: a kill, a pause past two leases, or every connection cut."""
    victim = chance.choice(crew.members)
    if blow == "kill":
        victim.kill()
        victim.wait()
    elif blow == "pause":
        victim.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2.2 * LEASE_SECONDS)
        victim.send_signal(signal.SIGCONT)
    else:
        with psycopg.connect(mechanisms.place.superuser_url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = 'mechanisms_service'",
                [mechanisms.place.name],
            )
        await mechanisms.database.dispose()  # the test's own connections were cut with them


async def batter(mechanisms: Mechanisms, *, order: str, blows: Sequence[str]) -> tuple[object, object]:
    """The loop: work arrives, a blow falls, the dead are replaced; then everything must end."""
    seed = int(os.environ.get("HUANGOU_SEED", random.SystemRandom().randrange(10**6)))
    print(f"kill loop: HUANGOU_SEED={seed}")
    chance = random.Random(seed)
    with crew_of(mechanisms, order=order) as crew:
        await add_items(mechanisms, ITEMS_PER_BLOW)
        while not await mechanisms.value("SELECT count(*) FROM ledger"):  # somebody is at work
            await asyncio.sleep(0.05)
        for blow in chance.sample(blows, len(blows)):
            await add_items(mechanisms, ITEMS_PER_BLOW)
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            await strike(crew, mechanisms, chance, blow)
            crew.replace_the_dead()
        await all_ended(mechanisms, crew)
    assert await mechanisms.value("SELECT count(*) FROM tasks") == (len(blows) + 1) * ITEMS_PER_BLOW
    return await damage(mechanisms)


@pytest.mark.proves("G19", "G30")
async def test_whatever_is_killed_paused_or_cut_every_item_is_written_once(mechanisms: Mechanisms) -> None:
    assert await batter(mechanisms, order="fenced", blows=["kill", "pause", "kill", "cut"] * (BLOWS // 4)) == (0, 0)
    assert await mechanisms.value("SELECT count(*) FROM tasks WHERE state <> 'done'") == 0


@pytest.mark.proves("G30")
async def test_control_the_same_loop_without_the_fence_shows_doubled_items(mechanisms: Mechanisms) -> None:
    doubled, _ = await batter(mechanisms, order="unfenced", blows=["pause"] * 4)
    assert doubled > 0


async def one_item_through(mechanisms: Mechanisms, *, order: str, failpoint: str, pause: bool = False) -> tuple[object, object]:
    """One item: its first worker dies at a failpoint, or is paused there until a successor has done the work."""
    action = "sleep=1" if pause else "exit"
    with crew_of(mechanisms, order=order, size=1, failpoints=f"ledger.{failpoint}:{action}") as crew:
        await add_items(mechanisms, 1)
        while not await mechanisms.value("SELECT count(*) FROM tasks WHERE claims_unreturned > 0 OR state = 'done'"):
            await asyncio.sleep(0.02)
        first = crew.members[0]
        if pause:
            first.send_signal(signal.SIGSTOP)
        else:
            await asyncio.to_thread(first.wait, 15)
        with crew_of(mechanisms, order=order, size=1) as successor:
            await all_ended(mechanisms, successor, seconds=20)
        if pause:
            first.send_signal(signal.SIGCONT)
            first.terminate()  # it finishes what it believes to hold, then ends
            assert await asyncio.to_thread(first.wait, 15) == 0
    return await damage(mechanisms)


@pytest.mark.parametrize(("failpoint", "pause"), [("before_commit", False), ("after_commit", False), ("before_commit", True)])
@pytest.mark.proves("G30")
async def test_at_each_point_the_fenced_commit_keeps_the_item_to_once(
    mechanisms: Mechanisms, failpoint: str, pause: bool
) -> None:
    assert await one_item_through(mechanisms, order="fenced", failpoint=failpoint, pause=pause) == (0, 0)


@pytest.mark.parametrize(
    ("order", "failpoint", "pause", "seen"),
    [
        ("unfenced", "before_commit", True, (1, 0)),
        ("work_first", "between_commits", False, (1, 0)),
        ("finish_first", "between_commits", False, (0, 1)),
    ],
)
async def test_control_without_the_fence_in_the_same_commit_the_damage_is_seen(
    mechanisms: Mechanisms, order: str, failpoint: str, pause: bool, seen: tuple[int, int]
) -> None:
    assert await one_item_through(mechanisms, order=order, failpoint=failpoint, pause=pause) == seen


@pytest.mark.proves("G25")
async def test_an_item_that_kills_its_process_is_parked_after_five_claims_and_the_others_go_on(mechanisms: Mechanisms) -> None:
    await add_items(mechanisms, 4)
    await add_items(mechanisms, 1, poison=True)
    await add_items(mechanisms, 4)
    with crew_of(mechanisms, size=2) as crew:
        await all_ended(mechanisms, crew, seconds=45)
        crew.replace_the_dead()
        assert crew.deaths == 5
    found = await mechanisms.rows("SELECT state, payload, claims_unreturned, count(*) FROM tasks GROUP BY 1, 2, 3 ORDER BY 1")
    assert found == [("done", {}, 0, 8), ("parked", {"poison": True}, 5, 1)]
    assert await damage(mechanisms) == (0, 0)


async def test_a_worker_told_to_stop_finishes_what_it_holds(mechanisms: Mechanisms) -> None:
    with crew_of(mechanisms, size=1) as crew:
        await add_items(mechanisms, 60)
        while not await mechanisms.value("SELECT count(*) FROM ledger"):
            await asyncio.sleep(0.02)
        crew.members[0].terminate()
        assert await asyncio.to_thread(crew.members[0].wait, 15) == 0
    assert await mechanisms.value("SELECT count(*) FROM tasks WHERE lease_until IS NOT NULL") == 0
    assert await damage(mechanisms) == (0, 0)
