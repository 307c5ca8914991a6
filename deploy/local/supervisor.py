"""Starts programs stage by stage, each stage when the one before is ready, keeps them running, and stops them in reverse.

How nothing stays behind: every child is tethered (`tether.py`), so that the kernel ends it when this process dies, by
kill -9 too; and its id is written down with its start time, so that the next start ends whoever outlived that. Children
have sessions of their own: a Ctrl-C at the terminal reaches this process alone, which then stops them in order.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.local.failure import CannotStart
from deploy.local.folders import make_folder
from deploy.local.leftovers import end_leftovers, forget, remember
from deploy.local.processes import tethered
from deploy.local.program import Born, Program

READY_SECONDS_MAX = 90.0
LOOK_EVERY_SECONDS = 0.1
BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 0.2, 10.0
STEADY_SECONDS = 30.0
LOG_BYTES_MAX = 10 * 1024 * 1024

Step = Callable[[], Awaitable[str]]
"""Work between two stages; it answers what it did, or raises CannotStart."""


@dataclass(frozen=True)
class Child:
    """A process of a program."""

    process: asyncio.subprocess.Process
    born: Born


class Running:
    """One program's current process and listening socket."""

    def __init__(self, program: Program, socket_: socket.socket | None) -> None:
        self.program, self.socket = program, socket_
        self.child: Child | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.ready = False
        self.changing = asyncio.Lock()
        """Held while one process takes the place of another."""


class Supervisor:
    """`async with Supervisor(stages, state) as suite: await suite.until_told()`."""

    def __init__(
        self,
        stages: Sequence[Sequence[Program | Step]],
        state: Path,
        *,
        folder: Path,
        say: Callable[[str], None] = print,
    ) -> None:
        """A stage is a set of programs and steps that start together."""
        self._stages, self._folder, self._say = stages, folder, say
        self._logs = make_folder(state / "logs", 0o700)
        self._run = make_folder(state / "run", 0o700)
        self._running: list[Running] = []
        self._told = asyncio.Event()
        self._began = time.monotonic()

    async def __aenter__(self) -> Self:
        """Start everything. Raises CannotStart, after stopping what had started."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
                asyncio.get_running_loop().add_signal_handler(number, self._told.set)
        told, work = asyncio.create_task(self._told.wait()), asyncio.create_task(self._start_all())
        try:
            await asyncio.wait({told, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise CannotStart("Stopped before everything was ready.")
            await work
        except BaseException:
            work.cancel()
            await asyncio.wait({work})
            await self._stop()
            raise
        finally:
            told.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def until_told(self) -> None:
        """Return when Ctrl-C or SIGTERM asks for the end."""
        await self._told.wait()

    def report(self, sentence: str) -> None:
        """Say what happened, with the seconds since the start."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {sentence}")

    def process_of(self, name: str) -> int:
        """The process id of a program, as it runs now. Raises KeyError when there is no such program."""
        found = self._named(name).child
        assert found is not None
        return found.born.pid

    def is_ready(self, name: str) -> bool:
        """Whether a program has been ready since it was last started. Raises KeyError when there is no such program."""
        return self._named(name).ready

    def restartable(self) -> list[str]:
        """The programs that may be restarted while everybody works: all but the database server."""
        return [running.program.name for running in self._running if running.program.farewell is signal.SIGTERM]

    async def restart(self, name: str) -> None:
        """One program anew. Raises KeyError, or CannotStart when the new process does not become ready.

        Where the listening socket is ours the successor is ready before the old process is told to go, so nobody is refused
        (G36), and when it does not become ready the old one stays. A worker goes first: its tasks wait for the next one.
        """
        running = self._named(name)
        async with running.changing:
            old, has_socket = running.child, running.socket is not None
            assert old is not None
            if not has_socket:
                await self._bid_farewell(running.program, old)
            new = await self._spawn(running)
            try:
                ready = await self._is_seen_ready(running.program, new)
            except BaseException:
                new.process.kill()
                raise
            if not ready and has_socket:
                await self._bid_farewell(running.program, new)
                remember(self._run, running.program, old.born.pid)
                raise CannotStart(f"The new {name} did not start, the old one stays: {self._last_words(name)}")
            running.child, running.ready = new, ready
            if has_socket:
                await self._bid_farewell(running.program, old)
        if not ready:
            raise CannotStart(f"{name} did not start: {self._last_words(name)}")
        self.report(f"{name} has been restarted")

    def _named(self, name: str) -> Running:
        return {running.program.name: running for running in self._running}[name]

    def _open_sockets(self) -> dict[str, socket.socket]:
        """Open every listening socket before anything starts, so that a taken port is said at once."""
        programs = [each for stage in self._stages for each in stage if isinstance(each, Program)]
        for program in programs:
            if program.own_port:
                listen(program.own_port, program.name).close()
        return {each.name: listen(each.port, each.name) for each in programs if each.port}

    async def _start_all(self) -> None:
        for name in await asyncio.to_thread(end_leftovers, self._run):
            self.report(f"{name} was left over from an earlier run and has been ended")
        sockets = self._open_sockets()
        for stage in self._stages:
            programs = [Running(each, sockets.get(each.name)) for each in stage if isinstance(each, Program)]
            if programs:
                self.report(f"starting {', '.join(each.program.name for each in programs)}")
            self._running += programs
            try:
                async with asyncio.TaskGroup() as group:
                    for running in programs:
                        group.create_task(self._start(running))
                    for step in stage:
                        if not isinstance(step, Program):
                            group.create_task(self._take(step))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None  # the first is the cause; the others were called off

    async def _take(self, step: Step) -> None:
        self.report(await step())

    async def _start(self, running: Running) -> None:
        """The first start: whoever stops before being ready stops everything, with the reason."""
        name = running.program.name
        running.child = await self._spawn(running)
        if not await self._becomes_ready(running):
            raise CannotStart(f"{name} did not start; its last words in {self._log(name)}: {self._last_words(name)}")
        place = f" on http://127.0.0.1:{running.program.port}" if running.program.port else ""
        self.report(f"{name} is ready{place}")
        running.keeper = asyncio.create_task(self._keep(running))

    async def _keep(self, running: Running) -> None:
        """Start the program again whenever it ends by itself, waiting longer each time it did not live long."""
        wait = BACKOFF_SECONDS_MIN
        while True:
            child, began = running.child, time.monotonic()
            assert child is not None
            code = await child.process.wait()
            async with running.changing:
                if running.child is not child:  # it went because its successor came
                    continue
                running.ready = False
            if time.monotonic() - began > STEADY_SECONDS:
                wait = BACKOFF_SECONDS_MIN
            self.report(f"{running.program.name} ended ({_ending(code)}), starting again in {wait:.1f} s")
            await asyncio.sleep(wait)
            wait = min(wait * 2, BACKOFF_SECONDS_MAX)
            async with running.changing:
                if running.child is not child:
                    continue
                with contextlib.suppress(CannotStart, OSError):  # tried again after the next, longer wait
                    running.child = await self._spawn(running)
                    if await self._becomes_ready(running):
                        self.report(f"{running.program.name} is ready again")

    async def _spawn(self, running: Running) -> Child:
        program = running.program
        await asyncio.to_thread(program.prepare)
        door = listen(0, program.name) if running.socket else None
        sockets = [each for each in (running.socket, door) if each]
        descriptors = [each.fileno() for each in sockets]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._open_log(program.name))
            if door:
                stack.enter_context(door)  # the child has it; here it is closed
            # tethered to this thread, the loop's own, which lives as long as the process
            process = await asyncio.create_subprocess_exec(
                *tethered(program.command(descriptors), farewell=program.farewell, run_as=program.run_as),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
                pass_fds=descriptors,
                start_new_session=True,
            )
            port = door.getsockname()[1] if door else None
        remember(self._run, program, process.pid)
        return Child(process, Born(process.pid, port))

    async def _becomes_ready(self, running: Running) -> bool:
        assert running.child is not None
        running.ready = await self._is_seen_ready(running.program, running.child)
        return running.ready

    async def _is_seen_ready(self, program: Program, child: Child) -> bool:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while child.process.returncode is None and time.monotonic() < deadline:
            if await program.is_ready(child.born):
                return True
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return False

    async def _stop(self) -> None:
        """Last stage first: ask, wait, then kill what did not go."""
        for stage in reversed(self._stages):
            names = {each.name for each in stage if isinstance(each, Program)}
            await asyncio.gather(*(self._end(running) for running in self._running if running.program.name in names))
        if self._running:
            self.report("everything is stopped")
        self._running.clear()

    async def _end(self, running: Running) -> None:
        if running.keeper:
            running.keeper.cancel()
            await asyncio.wait({running.keeper})
        if running.socket:
            running.socket.close()
        if running.child:
            await self._bid_farewell(running.program, running.child)
            forget(self._run, running.program.name)

    async def _bid_farewell(self, program: Program, child: Child) -> None:
        """Ask a process to go, and kill it when it does not go in time."""
        for number in (program.farewell, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.process.wait(), program.stop_seconds)
                break

    def _log(self, name: str) -> Path:
        return self._logs / f"{name.replace(' ', '-')}.log"

    def _open_log(self, name: str) -> IO[bytes]:
        """Append to the program's log; one that grew past 10 MiB becomes the old one first."""
        path = self._log(name)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(none)"


def listen(port: int, name: str) -> socket.socket:
    """A listening socket on loopback. Raises CannotStart with a sentence when the port is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise CannotStart(f"Port {port} on 127.0.0.1, meant for {name}, is taken by another program.") from error
    return listening


def _ending(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"code {code}"
