"""One program that the supervisor runs: how it starts, how one knows that it is ready, how it is asked to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

LOOK_SECONDS_MAX = 2.0


def _nothing() -> None:
    """Most programs need no preparation."""


@dataclass(frozen=True)
class Born:
    """A process that was just started."""

    pid: int
    door: int | None = None
    """The port on loopback on which this process alone answers, beside the one that it shares with its successor."""


@dataclass(frozen=True)
class Program:
    """A row of the table of processes. The supervisor knows no more about a program than this."""

    name: str
    command: Callable[[Sequence[int]], list[str]]
    """Its command line, given the descriptors of its listening sockets: the program's and this process's own, or none."""
    is_ready: Callable[[Born], Awaitable[bool]]
    """Whether this process is ready to work."""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    """The port on loopback whose listening socket we own and pass on, so that a restart refuses nobody."""
    own_port: int | None = None
    """A port that the program opens by itself; looked at beforehand."""
    prepare: Callable[[], None] = _nothing
    """Runs before each start, so also after a crash."""
    farewell: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    """How long it may take to stop when asked, before it is killed."""
    run_as: tuple[int, int] | None = None


def answers(path: str, port: int | None = None) -> Callable[[Born], Awaitable[bool]]:
    """A readiness check: that path answers 200, on a port of loopback or, without one, at the process's own door.

    Spoken by hand: an HTTP client a look, several looks a second, would take a core from what is just starting.
    """

    async def check(born: Born) -> bool:
        place = port or born.door
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                reader, writer = await asyncio.open_connection("127.0.0.1", place)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{place}\r\nConnection: close\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        except OSError:  # a TimeoutError too
            return False

    return check
