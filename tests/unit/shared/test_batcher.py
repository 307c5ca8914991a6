"""The batcher without a database: who waits, who goes together, who hears what."""

import asyncio
from collections.abc import Sequence

import pytest
from psycopg import errors as pg
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.batcher import Batcher
from shared.database import RETRIES_MAX, Overloaded

pytestmark = pytest.mark.anyio


class Recorder:
    """A run function that notes its sets and can be held back."""

    def __init__(self) -> None:
        self.sets: list[list[int]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, commands: Sequence[int]) -> Sequence[int | BaseException]:
        self.sets.append(list(commands))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            return [KeyError(c) if c < 0 else c * 10 for c in commands]
        finally:
            self.under_way -= 1


async def submit_all(batcher: Batcher[int, int], commands: Sequence[int]) -> list[int | BaseException]:
    return await asyncio.gather(*[batcher.submit(c) for c in commands], return_exceptions=True)


async def test_each_caller_gets_the_outcome_of_its_own_command() -> None:
    recorder = Recorder()
    outcomes = await submit_all(Batcher(recorder), [1, -2, 3])
    assert outcomes[0] == 10
    assert outcomes[2] == 30
    assert isinstance(outcomes[1], KeyError)


async def test_commands_are_carried_out_in_the_order_in_which_they_came() -> None:
    recorder = Recorder()
    await submit_all(Batcher(recorder, size_max=7, flows_max=1), range(40))
    assert [c for commands in recorder.sets for c in commands] == list(range(40))


async def test_a_lone_command_starts_at_once() -> None:
    recorder = Recorder()
    async with asyncio.timeout(1):
        assert await Batcher(recorder, wait_seconds=30).submit(4) == 40


async def test_what_comes_at_once_goes_at_once_and_together() -> None:
    recorder = Recorder()
    async with asyncio.timeout(1):
        await submit_all(Batcher(recorder, wait_seconds=30), range(20))
    assert recorder.sets == [list(range(20))]


async def test_who_comes_back_at_once_goes_along_with_those_who_wait() -> None:
    sets: list[list[int]] = []
    gates = {number: asyncio.Event() for number in range(1, 5)}

    async def run(commands: Sequence[int]) -> Sequence[int]:
        sets.append(list(commands))
        await gates[commands[0]].wait()
        return list(commands)

    batcher: Batcher[int, int] = Batcher(run, wait_seconds=0.05)
    tasks = []
    for number, pause in ((1, 0.01), (2, 0.1), (3, 0.01)):
        tasks.append(asyncio.create_task(batcher.submit(number)))
        await asyncio.sleep(pause)
    assert sets == [[1], [2]]  # both flows are at work, the third command waits
    gates[1].set()
    await tasks[0]
    tasks.append(asyncio.create_task(batcher.submit(4)))
    await asyncio.sleep(0.1)
    assert sets[2:] == [[3, 4]]
    for gate in gates.values():
        gate.set()
    await asyncio.gather(*tasks)


async def test_sets_and_flows_are_capped_and_what_waits_goes_together() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder, size_max=8, flows_max=2)
    waiting = asyncio.create_task(submit_all(batcher, range(30)))
    await asyncio.sleep(0.02)
    assert [len(commands) for commands in recorder.sets] == [8, 8]
    recorder.gate.set()
    await waiting
    assert max(len(commands) for commands in recorder.sets) == 8
    assert recorder.most_under_way == 2


async def test_under_load_a_second_flow_gathers_for_a_moment() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder, wait_seconds=0.02)
    waiting = [asyncio.create_task(batcher.submit(1))]
    await asyncio.sleep(0)
    for n in (2, 3, 4):
        waiting.append(asyncio.create_task(batcher.submit(n)))
        await asyncio.sleep(0)
    assert recorder.sets == [[1]]
    await asyncio.sleep(0.06)
    assert recorder.sets == [[1], [2, 3, 4]]
    recorder.gate.set()
    assert await asyncio.gather(*waiting) == [10, 20, 30, 40]


async def test_too_many_waiting_is_said_at_once() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder, size_max=1, flows_max=1, waiting_max=2)
    waiting = asyncio.create_task(submit_all(batcher, range(3)))
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(batcher.submit(9), 1)
    recorder.gate.set()
    assert await waiting == [0, 10, 20]


async def test_a_caller_who_goes_away_does_not_stop_its_command_nor_the_others() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder, flows_max=1)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    gone, stays = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0.01)
    gone.cancel()
    first.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await stays == 30
    assert recorder.sets == [[1], [2, 3]]
    assert gone.cancelled()
    assert first.cancelled()


async def test_closing_finishes_what_waits_and_takes_nothing_more() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder, size_max=2, flows_max=1)
    waiting = asyncio.create_task(submit_all(batcher, range(7)))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    recorder.gate.set()
    await closing
    assert sum(map(len, recorder.sets)) == 7
    with pytest.raises(Overloaded):
        await batcher.submit(9)
    assert await waiting == [n * 10 for n in range(7)]


async def test_closing_an_idle_batcher_ends_at_once() -> None:
    async with asyncio.timeout(1):
        await Batcher(Recorder()).close()


def integrity_error() -> IntegrityError:
    return IntegrityError("INSERT", {}, pg.UniqueViolation("duplicate"))


async def test_one_bad_command_is_found_by_halves_and_the_others_go_through() -> None:
    sets: list[list[int]] = []

    async def run(commands: Sequence[int]) -> Sequence[int]:
        sets.append(list(commands))
        if 13 in commands:
            raise integrity_error()
        return [c * 10 for c in commands]

    batcher: Batcher[int, int] = Batcher(run, flows_max=1)
    blocker = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0)
    outcomes = await submit_all(batcher, range(1, 17))
    await blocker
    assert isinstance(outcomes[12], IntegrityError)
    assert [o for o in outcomes if not isinstance(o, BaseException)] == [n * 10 for n in range(1, 17) if n != 13]
    assert len(sets) == 1 + 1 + 2 * 4  # the blocker, the whole, and two halves at each of four levels


@pytest.mark.parametrize("kind", [pg.DeadlockDetected, pg.LockNotAvailable, pg.SerializationFailure])
async def test_a_set_that_met_another_transaction_is_tried_again_whole(kind: type[pg.Error]) -> None:
    tries: list[int] = []

    async def run(commands: Sequence[int]) -> Sequence[int]:
        tries.append(len(commands))
        if len(tries) < RETRIES_MAX:
            raise OperationalError("UPDATE", {}, kind("busy"))
        return list(commands)

    assert await Batcher(run).submit(5) == 5
    assert tries == [1] * RETRIES_MAX


async def test_a_set_that_never_gets_through_tells_every_caller_and_is_not_split() -> None:
    tries: list[int] = []

    async def run(commands: Sequence[int]) -> Sequence[int]:
        tries.append(len(commands))
        raise OperationalError("UPDATE", {}, pg.DeadlockDetected("busy"))

    batcher: Batcher[int, int] = Batcher(run, flows_max=1)
    outcomes = await submit_all(batcher, [1, 2, 3])
    assert all(isinstance(o, OperationalError) for o in outcomes)
    assert tries == [3] * RETRIES_MAX


async def test_any_other_error_goes_to_every_caller_of_the_set_once() -> None:
    tries: list[int] = []

    async def run(commands: Sequence[int]) -> Sequence[int]:
        tries.append(len(commands))
        raise RuntimeError("broken")

    outcomes = await submit_all(Batcher(run), [1, 2, 3])
    assert all(isinstance(o, RuntimeError) for o in outcomes)
    assert tries == [3]


async def test_a_run_that_answers_too_few_outcomes_leaves_nobody_waiting() -> None:
    async def run(commands: Sequence[int]) -> Sequence[int]:
        return []

    async with asyncio.timeout(1):
        assert [type(o) for o in await submit_all(Batcher(run), [1, 2, 3])] == [RuntimeError] * 3


async def test_a_run_that_is_cancelled_leaves_nobody_waiting() -> None:
    async def run(commands: Sequence[int]) -> Sequence[int]:
        raise asyncio.CancelledError

    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await Batcher(run).submit(1)
