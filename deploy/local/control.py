"""How another process asks the running suite for a restart: one line over a socket in the suite's own folder.

Whoever may enter that folder may ask; nobody else can reach it.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from deploy.local.failure import CannotStart
from deploy.local.supervisor import Supervisor

NAME = "control.sock"
DONE = "done"
LINE_BYTES_MAX = 4096


@contextlib.asynccontextmanager
async def listening(supervisor: Supervisor, state: Path) -> AsyncIterator[None]:
    """Take requests while the block runs."""
    at_work: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        try:
            names = (await reader.readline()).decode().strip().split(",")
            await _restart(supervisor, [name for name in names if name], writer)
        except (ConnectionError, ValueError):  # the one who asked went away, or was no one of ours
            pass
        finally:
            at_work.discard(task)
            writer.close()

    with _short(state / "run") as folder:
        (state / "run" / NAME).unlink(missing_ok=True)
        server = await asyncio.start_unix_server(answer, folder / NAME, limit=LINE_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        (state / "run" / NAME).unlink(missing_ok=True)


async def _restart(supervisor: Supervisor, names: Sequence[str], writer: asyncio.StreamWriter) -> None:
    """One program after the other, each when the one before is ready; the first that fails ends it."""
    known = supervisor.restartable()
    unknown = [name for name in names if name not in known]
    if unknown:
        await _say(writer, f"There is no {unknown[0]} to restart; there are {', '.join(known)}.")
        return
    for name in names or known:
        try:
            await supervisor.restart(name)
        except CannotStart as reason:
            await _say(writer, str(reason))
            return
        await _say(writer, f"{name} has been restarted.")
    await _say(writer, DONE)


async def _say(writer: asyncio.StreamWriter, sentence: str) -> None:
    writer.write(f"{sentence}\n".encode())
    await writer.drain()


async def ask_to_restart(state: Path, names: Sequence[str]) -> AsyncIterator[str]:
    """Ask the running suite to restart programs, all without a name; its sentences as they come.

    Raises CannotStart when no suite runs here, or when it could not restart one.
    """
    try:
        with _short(state / "run") as folder:
            reader, writer = await asyncio.open_unix_connection(folder / NAME)
    except OSError as error:
        raise CannotStart("The suite does not run here, so there is nothing to restart.") from error
    try:
        writer.write(f"{','.join(names)}\n".encode())
        last = ""
        async for line in reader:
            if last:
                yield last
            last = line.decode().strip()
        if last != DONE:
            raise CannotStart(last or "The suite stopped meanwhile.")
    finally:
        writer.close()


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """A short name for a folder: the address of such a socket may have no more than about a hundred bytes."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:
        raise OSError(f"{folder} is not there") from error
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
