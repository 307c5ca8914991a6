"""The worker: claims tasks lane by lane, hands them to their handlers as sets, and returns what could not be done."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from shared.clock import Clock
from shared.database import Database
from shared.metrics import TASKS
from shared.tasks.queue import Again, Claim, NewTask, Tasks

POLL_BUSY_SECONDS = 0.05
POLL_IDLE_SECONDS = 0.2
POLL_AFTER_ERROR_SECONDS = 1.0
STEP_SECONDS_MAX = 10.0
DONE_KEPT_SECONDS = 86_400.0

log = structlog.get_logger()

Handle = Callable[[Sequence[Claim]], Awaitable[Mapping[UUID, Again] | None]]


@dataclass(frozen=True)
class Handler:
    """What to do with one kind of task.

    `handle` gets the claims as a set; it calls `tasks.finish` first in the transaction that does their work, and answers
    which of them failed cleanly. An exception is a clean failure of all those that it did not finish.
    """

    kind: str
    handle: Handle


@dataclass(frozen=True)
class Lane:
    """Kinds that share a claim loop. A slow lane does not hold up another (a late notice never delays points)."""

    name: str
    handlers: Sequence[Handler]
    batch: int = 32


@dataclass(frozen=True)
class Schedule:
    """A task written once every so often, by whichever node comes first."""

    name: str
    kind: str
    every_seconds: int


class Worker:
    """Runs the lanes and schedules of one service until told to stop."""

    def __init__(
        self, database: Database, tasks: Tasks, clock: Clock, lanes: Sequence[Lane], schedules: Sequence[Schedule] = ()
    ) -> None:
        """Every lane polls by itself."""
        self._database = database
        self._tasks = tasks
        self._clock = clock
        self._lanes = lanes
        self._schedules = schedules
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish what is in hand, claim nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._forever(lambda lane=lane: self.run_once(lane)))  # type: ignore[misc]
            group.create_task(self._forever(self._tick, idle_seconds=POLL_AFTER_ERROR_SECONDS))

    async def drain(self) -> int:
        """Run every lane until nothing is due; answers how many tasks were claimed. For tests and one-off commands."""
        total = 0
        while True:
            claimed = sum([await self.run_once(lane) for lane in self._lanes])
            if not claimed:
                return total
            total += claimed

    async def run_once(self, lane: Lane) -> int:
        """Claim one batch of a lane and carry it out. Answers how many were claimed."""
        kinds = [handler.kind for handler in lane.handlers]
        async with self._database.transaction() as conn:
            for task_id, kind in await self._tasks.park_lost(conn, kinds):
                TASKS.labels(kind, "parked").inc()
                log.error("task_parked", task=str(task_id), kind=kind)
            claims = await self._tasks.claim(conn, kinds, lane.batch)
        for handler in lane.handlers:
            mine = [claim for claim in claims if claim.kind == handler.kind]
            if mine:
                await self._carry_out(handler, mine)
        return len(claims)

    async def _carry_out(self, handler: Handler, claims: Sequence[Claim]) -> None:
        try:
            async with asyncio.timeout(STEP_SECONDS_MAX):
                failed = dict(await handler.handle(claims) or {})
        except Exception as error:  # noqa: BLE001 - a handler's failure is the task's, not the worker's
            log.warning("task_failed", kind=handler.kind, error=type(error).__name__, exc_info=True)
            failed = {claim.id: Again(f"{type(error).__name__}: {error}") for claim in claims}
        # Deferring what was finished before the failure does nothing: a finished task is no longer `ready`.
        returned = [(claim, failed[claim.id]) for claim in claims if claim.id in failed]
        TASKS.labels(handler.kind, "done").inc(len(claims) - len(returned))
        TASKS.labels(handler.kind, "failed").inc(len(returned))
        if returned:
            async with self._database.transaction() as conn:
                await self._tasks.defer(conn, returned)

    async def _tick(self) -> int:
        for schedule in self._schedules:
            async with self._database.transaction() as conn:
                now = await self._clock.now(conn)
                seconds = int(now.timestamp())
                tick = now - timedelta(seconds=seconds % schedule.every_seconds, microseconds=now.microsecond)
                if await self._tasks.tick(conn, schedule.name, tick):
                    due = NewTask(kind=schedule.kind, run_at=now, dedupe_key=schedule.name)
                    await self._tasks.add(conn, [due])
        return 0

    async def _forever(self, step: Callable[[], Awaitable[int]], idle_seconds: float = POLL_IDLE_SECONDS) -> None:
        """Repeat a step: at once while there is work, slower when idle, slower still while something is broken."""
        while not self._stopping.is_set():
            try:
                pause = POLL_BUSY_SECONDS if await step() else idle_seconds
            except Exception as error:  # noqa: BLE001 - the loop outlives a database that is away for a while
                log.warning("worker_step_failed", error=type(error).__name__, exc_info=True)
                pause = POLL_AFTER_ERROR_SECONDS
            await self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
