"""A lean HTTP/1.1 client for load: each connection sends its next request as soon as the last one is answered.

Libraries for HTTP cost more a request than the services do, and would be what is measured.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

HEAD_ENDS = b"\r\n\r\n"
LENGTH = b"content-length:"
LATE_SECONDS = 15.0
SAMPLES_MAX = 3


class Round:
    """One stretch of load on some connections, and what came of it."""

    def __init__(self, make: Callable[[], bytes], *, seconds: float) -> None:
        """`make` gives the bytes of the next request."""
        self.make = make
        self.seconds = seconds
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.samples: list[str] = []
        self.ended_at = self.until = 0.0
        self._open = 0
        self._over = asyncio.Event()

    async def run(self, host: str, port: int, connections: int) -> float:
        """Load that port; answers the seconds from the first request to the last answer."""
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(lambda: Connection(self), host, port) for _ in range(connections)]
        self._open = connections
        started = time.perf_counter()
        self.until = started + self.seconds
        for transport, connection in opened:
            connection.begin(transport)
        async with asyncio.timeout(self.seconds + LATE_SECONDS):
            await self._over.wait()
        for transport, _ in opened:
            transport.close()
        return self.ended_at - started

    def note(self, status: int, latency: float, now: float, answer: bytes) -> None:
        """One answer."""
        self.statuses[status] += 1
        self.latencies.append(latency)
        self.ended_at = now
        if status >= 400 and len(self.samples) < SAMPLES_MAX:
            self.samples.append(answer.decode(errors="replace")[-600:])

    def leave(self) -> None:
        """One connection has done its part."""
        self._open -= 1
        if not self._open:
            self._over.set()


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, round_: Round) -> None:
        self._round = round_
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._buffer = b""
        self._left = False

    def begin(self, transport: asyncio.Transport) -> None:
        """Send the first request."""
        self._transport = transport
        self.send()

    def send(self) -> None:
        """The next request."""
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._round.make())

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole; then note it and go on while there is time."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        head = buffer.find(HEAD_ENDS)
        if head < 0 or len(buffer) < head + len(HEAD_ENDS) + _length(buffer, head):
            return
        now = time.perf_counter()
        self._round.note(int(buffer[9:12]), now - self._sent_at, now, buffer)
        self._buffer = b""
        if now < self._round.until:
            self.send()
        else:
            self._leave()

    def connection_lost(self, _error: Exception | None) -> None:
        """Cut off by the other side: counted as no answer (status 0), and not opened again."""
        if not self._left:
            self._round.note(0, 0.0, time.perf_counter(), b"connection lost")
            self._leave()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._round.leave()


def _length(buffer: bytes, head: int) -> int:
    """What the head says of the body's length; an answer without a body may say nothing."""
    lower = buffer[:head].lower()
    at = lower.find(LENGTH)
    if at < 0 or buffer[9:12] == b"304":
        return 0
    ends = lower.find(b"\r", at)
    return int(lower[at + len(LENGTH) : ends if ends >= 0 else head])
