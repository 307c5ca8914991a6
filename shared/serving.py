"""Serves one application until it is told to stop, so that stopping it loses no request (G36).

`python -m shared.serving services.catalog.app:create --fd 5` takes listening sockets that somebody else opened and keeps: what
arrives while one process goes and the next one comes waits in the socket's queue. `--host` and `--port` open one instead; then
a proxy in front must know when to send nobody any more, which `/readyz` tells it (`--notice-seconds`).

Stopping has four steps, each bounded: say "not ready"; accept no new connection; answer what comes on the open connections,
each answer saying that it is the connection's last; then wait for what is in hand. A server that closes an idle connection just
like that would cut off the request that is on its way there.
"""

import argparse
import asyncio
import gc
import importlib
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn

from shared.app import STOPPING

NOTICE_SECONDS = 0.0
LINGER_SECONDS = 2.0
FINISH_SECONDS = 10
LOOK_EVERY_SECONDS = 0.05
KEEP_ALIVE_SECONDS = 75
"""Longer than callers keep an idle connection, so that it is they who close it."""
LAST = (b"connection", b"close")
COLLECTED_EVERY = (20_000, 20, 20)
"""Objects more than were freed, before the youngest are looked through; and how often that leads to the older ones."""


class Server(uvicorn.Server):
    """uvicorn's server with a longer goodbye."""

    def __init__(self, config: uvicorn.Config, *, notice_seconds: float = NOTICE_SECONDS) -> None:
        """`notice_seconds`: how long it goes on accepting while `/readyz` says that it is going."""
        super().__init__(config)
        self._notice_seconds = notice_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called before the first request."""
        await super().startup(sockets)
        settle_memory()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called when a signal asked for the end."""
        STOPPING.set()
        await asyncio.sleep(self._notice_seconds)
        for server in self.servers:
            server.close()
        self._announce()
        await self._linger()
        await super().shutdown(sockets)

    def _announce(self) -> None:
        """From here on every answer is its connection's last."""
        self.server_state.default_headers = [*self.server_state.default_headers, LAST]
        for connection in list(self.server_state.connections):
            if _is_busy(connection):
                connection.shutdown()  # it finishes this answer, which now says so too

    async def _linger(self) -> None:
        """Give those who still hold a connection the time for one more request, which they may have sent already."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGER_SECONDS
        while self.server_state.connections and loop.time() < until:  # noqa: ASYNC110 - uvicorn tells nobody when they go
            await asyncio.sleep(LOOK_EVERY_SECONDS)


def _is_busy(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


def settle_memory() -> None:
    """What was made by now stays for the life of the process: the collector need not look at it again, nor come so often.

    Requests leave few circles behind; a collection over all that was imported would hold up everybody for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_EVERY)


def main(arguments: Sequence[str] | None = None) -> None:
    """The process."""
    asked = _asked(arguments)
    module, _, name = asked.application.partition(":")
    create: Callable[[], Any] = getattr(importlib.import_module(module), name)
    config = uvicorn.Config(
        create,
        factory=True,
        host=asked.host,
        port=asked.port,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    server = Server(config, notice_seconds=asked.notice_seconds)
    server.run(sockets=[socket.socket(fileno=descriptor) for descriptor in asked.fd] or None)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shared.serving", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("application", help="module:function that makes the application")
    parser.add_argument("--fd", type=int, action="append", default=[], help="a listening socket's descriptor; may be repeated")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--notice-seconds", type=float, default=NOTICE_SECONDS, help="accept for so long after SIGTERM")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
