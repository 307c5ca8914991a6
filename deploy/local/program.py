"""One program that the supervisor runs: how it starts, how one knows that it is ready, how it is asked to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

LOOK_SECONDS_MAX = 2.0


def _nothing() -> None:
    """Most programs need no preparation."""


@dataclass(frozen=True)
class Program:
    """A row of the table of processes. The supervisor knows no more about a program than this."""

    name: str
    command: Callable[[int | None], list[str]]
    """Its command line, given the descriptor of its listening socket, if it has one."""
    is_ready: Callable[[int], Awaitable[bool]]
    """Whether the process with this id is ready to work."""
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


def answers(port: int, path: str) -> Callable[[int], Awaitable[bool]]:
    """A readiness check: that path on loopback answers 200.

    Spoken by hand: an HTTP client a look, several looks a second, would take a core from what is just starting.
    """

    async def check(_pid: int) -> bool:
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        except OSError:  # a TimeoutError too
            return False

    return check
