"""The worker: claims tasks lane by lane, hands them to their handlers as sets, and returns what could not be done."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.clock import Clock
from shared.database import Database
from shared.errors import DomainError
from shared.metrics import TASK_OLDEST_DUE, TASKS, TASKS_PARKED, begin_at_zero, set_all
from shared.tasks.queue import Again, Claim, NewTask, Tasks

POLL_BUSY_SECONDS = 0.05
POLL_IDLE_SECONDS = 0.2
POLL_AFTER_ERROR_SECONDS = 1.0
TICK_SECONDS = 1.0
STEP_SECONDS_MAX = 10.0
DONE_KEPT_SECONDS = 86_400.0
HOUSEKEEPING_SECONDS = 15.0

log = structlog.get_logger()

Measure = Callable[[AsyncConnection], Awaitable[None]]
"""Reads what a service says of itself into its gauges; a read of the database, and nothing else."""
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
        self,
        database: Database,
        tasks: Tasks,
        clock: Clock,
        lanes: Sequence[Lane],
        schedules: Sequence[Schedule] = (),
        measures: Sequence[Measure] = (),
    ) -> None:
        """Every lane polls by itself."""
        self._database = database
        self._tasks = tasks
        self._clock = clock
        self._lanes = lanes
        self._schedules = schedules
        self._measures = measures
        for kind in self._kinds():
            begin_at_zero(kind)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish what is in hand, claim nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._forever(partial(self._lane, lane)))
            group.create_task(self._forever(self._tick))
            group.create_task(self._forever(self._keep_house))

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
        except Exception as error:
            log.warning(
                "task_failed",
                kind=handler.kind,
                error=type(error).__name__,
                exc_info=not isinstance(error, DomainError),  # a fact that has a name needs no trace
            )
            reason = str(error) if isinstance(error, DomainError) else type(error).__name__  # other texts may hold values
            failed = {claim.id: Again(reason) for claim in claims}
        # Deferring what was finished before the failure does nothing: a finished task is no longer `ready`.
        returned = [(claim, failed[claim.id]) for claim in claims if claim.id in failed]
        TASKS.labels(handler.kind, "done").inc(len(claims) - len(returned))
        TASKS.labels(handler.kind, "failed").inc(len(returned))
        if returned:
            async with self._database.transaction() as conn:
                await self._tasks.defer(conn, returned)

    async def _tick(self) -> float:
        """Write down the tasks of every schedule whose moment has come."""
        for schedule in self._schedules:
            async with self._database.transaction() as conn:
                now = await self._clock.now(conn)
                seconds = int(now.timestamp())
                tick = now - timedelta(
                    seconds=seconds % schedule.every_seconds,
                    microseconds=now.microsecond,
                )
                if await self._tasks.tick(conn, schedule.name, tick):
                    due = NewTask(kind=schedule.kind, run_at=now, dedupe_key=schedule.name)
                    await self._tasks.add(conn, [due])
        return TICK_SECONDS

    async def _keep_house(self) -> float:
        """Say how things stand, and drop what was done a day ago."""
        await self.measure()
        async with self._database.transaction() as conn:
            await self._tasks.purge_done(conn, older_than_seconds=DONE_KEPT_SECONDS)
        return HOUSEKEEPING_SECONDS

    async def measure(self) -> None:
        """Read into the gauges what waits, what is parked, and what the service says of itself (G53)."""
        kinds = self._kinds()
        async with self._database.transaction() as conn:
            set_all(TASKS_PARKED, kinds, await self._tasks.count_parked(conn))
            set_all(TASK_OLDEST_DUE, kinds, await self._tasks.oldest_due(conn))
        for measure in self._measures:  # each by itself: one that fails or is slow takes nothing from the others
            async with self._database.transaction() as conn:
                await measure(conn)

    def _kinds(self) -> set[str]:
        return {handler.kind for lane in self._lanes for handler in lane.handlers}

    async def _lane(self, lane: Lane) -> float:
        """One round of a lane; a full batch means that more is waiting, so the next round starts at once."""
        claimed = await self.run_once(lane)
        return 0.0 if claimed >= lane.batch else POLL_BUSY_SECONDS if claimed else POLL_IDLE_SECONDS

    async def _forever(self, step: Callable[[], Awaitable[float]]) -> None:
        """Repeat a step after the pause that it asks for, longer while something is broken."""
        while not self._stopping.is_set():
            try:
                pause = await step()
            except Exception as error:
                log.warning("worker_step_failed", error=type(error).__name__, exc_info=True)
                pause = POLL_AFTER_ERROR_SECONDS
            await self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
