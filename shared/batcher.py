"""Commands that arrive together are carried out together: one set of statements and one commit for up to 64 of them.

A commit costs one wait for the disk, whoever shares it. When nothing is under way a command starts at once; under load the
next set gathers while the last one is at work. Each caller gets an outcome of its own.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.database import RETRIES_MAX, Overloaded, in_transaction, is_data_error, is_retryable
from shared.halves import by_halves
from shared.metrics import BATCH_SIZE, OVERLOADED

C = TypeVar("C")
R = TypeVar("R")


class Batcher(Generic[C, R]):
    """Gathers commands of one kind and runs them as sets."""

    def __init__(
        self,
        run: Callable[[Sequence[C]], Awaitable[Sequence[R | BaseException]]],
        *,
        size_max: int = 64,
        flows_max: int = 2,
        wait_seconds: float = 0.002,
        waiting_max: int = 4096,
        name: str = "commands",
    ) -> None:
        """`run` answers one outcome a command, in their order: a result, or the error which that caller is to see."""
        self._name = name
        self._run = run
        self._size_max = size_max
        self._flows_max = flows_max
        self._wait_seconds = wait_seconds
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[C, asyncio.Future[R]]] = deque()
        self._flows: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Handle | None = None
        self._closed = False

    async def submit(self, command: C) -> R:
        """Carry out one command with whatever else is waiting. A caller who goes away does not stop it.

        Raises Overloaded when too many wait, RuntimeError inside a transaction: its locks would be held meanwhile.
        """
        if in_transaction():
            raise RuntimeError("a batched command has a transaction of its own; submit it outside")
        if self._closed or len(self._waiting) >= self._waiting_max:
            OVERLOADED.labels("queue").inc()
            raise Overloaded
        outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, outcome))
        self._consider()
        return await asyncio.shield(outcome)

    async def close(self) -> None:
        """Take nothing more and finish what waits."""
        self._closed = True
        while self._waiting or self._flows:
            self._start()
            await asyncio.gather(*self._flows, return_exceptions=True)

    def _consider(self) -> None:
        """Start what waits when the set is full, as soon as all have come that come now, or while others are at work a little
        later: those who are answered just then often come back at once, and go along."""
        if len(self._waiting) >= self._size_max:
            self._start()
        elif self._timer is None and len(self._flows) < self._flows_max:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._wait_seconds, self._start) if self._flows else loop.call_soon(self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._flows) < self._flows_max:
            count = min(self._size_max, len(self._waiting))
            items = [self._waiting.popleft() for _ in range(count)]
            self._flows.add(flow := asyncio.create_task(self._carry_out(items)))
            flow.add_done_callback(self._ended)

    def _ended(self, flow: asyncio.Task[None]) -> None:
        self._flows.discard(flow)
        if self._timer is not None and not self._flows:  # nobody is at work any more: no reason to wait
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._consider()

    async def _carry_out(self, items: list[tuple[C, asyncio.Future[R]]]) -> None:
        BATCH_SIZE.labels(self._name).observe(len(items))
        outcomes: Sequence[R | BaseException]
        try:
            outcomes = await self._outcomes([command for command, _ in items])
            if len(outcomes) != len(items):
                raise RuntimeError(f"{len(items)} commands of {self._name} got {len(outcomes)} outcomes")
        except asyncio.CancelledError:  # the process is ending: nobody may wait for ever
            for _, future in items:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed to the callers
            outcomes = [error] * len(items)
        _hand_out(items, outcomes)

    async def _outcomes(self, commands: Sequence[C]) -> Sequence[R | BaseException]:
        """Run the set; try again when another transaction got in the way; split it to find the one that spoils it."""
        halved = await by_halves(commands, self._attempt, is_data_error)
        return [outcome for outcomes in halved.results for outcome in outcomes]

    async def _attempt(self, commands: Sequence[C]) -> Sequence[R | BaseException]:
        """The outcomes of a set. Raises what one of several may have spoiled; of one alone that is its outcome."""
        for attempt in range(1, RETRIES_MAX + 1):
            try:
                return await self._run(commands)
            except Exception as error:
                if is_retryable(error) and attempt < RETRIES_MAX:
                    await asyncio.sleep(0.01 * attempt)
                    continue
                if is_data_error(error) and len(commands) > 1:
                    raise
                return [error for _ in commands]
        raise AssertionError("the loop returns")


def _hand_out(items: Sequence[tuple[C, asyncio.Future[R]]], outcomes: Sequence[R | BaseException]) -> None:
    """Give each caller the outcome of its own command."""
    for (_, future), outcome in zip(items, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
            future.exception()  # a caller who has gone away shall not leave a warning behind
        else:
            future.set_result(outcome)
