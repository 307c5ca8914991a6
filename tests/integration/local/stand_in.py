"""A suite of two small programs for the supervisor's tests: `supervise STATE PORT [how]`, and the programs themselves."""

import asyncio
import http.server
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local.control import listening
from deploy.local.failure import CannotStart
from deploy.local.folders import locked
from deploy.local.program import Program, answers
from deploy.local.supervisor import Step, Supervisor

HERE = str(Path(__file__))
CHECKOUT = Path(__file__).parents[3]


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the process id."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


def serve(how: str, shared: int, own: int) -> None:
    """Answer on the two sockets that were passed on; `deaf` ignores SIGTERM."""
    servers = []
    for descriptor in (shared, own):
        server = http.server.HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
        server.socket = socket.socket(fileno=descriptor)
        servers.append(server)

    def stop(*_: object) -> None:
        print("stopping", flush=True)
        for server in servers:
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "deaf" else stop)
    print("serving", flush=True)
    threading.Thread(target=servers[1].serve_forever, daemon=True).start()
    servers[0].serve_forever()


def program(name: str, port: int, how: str) -> Program:
    def command(descriptors: Sequence[int]) -> list[str]:
        if how == "broken" or (how.startswith("spoiled:") and Path(how.removeprefix("spoiled:")).exists()):
            return [sys.executable, "-c", "import sys; sys.exit('the reason why')"]
        return [sys.executable, HERE, "serve", how, *map(str, descriptors)]

    return Program(
        name=name,
        command=command,
        is_ready=answers("/"),
        port=port,
        environment={"PYTHONPATH": str(CHECKOUT)},
        stop_seconds=1.0 if how == "deaf" else 15.0,
    )


async def supervise(state: Path, port: int, how: str) -> None:
    async def step() -> str:
        return "the step is taken"

    stages: list[list[Program | Step]] = [[program("first", port, "well")], [step], [program("second", port + 1, how)]]
    with locked(state):
        async with (
            Supervisor(stages, state, folder=CHECKOUT, say=lambda line: print(line, flush=True)) as supervisor,
            listening(supervisor, state),
        ):
            supervisor.report("all ready")
            await supervisor.until_told()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        try:
            asyncio.run(supervise(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
        except CannotStart as reason:
            sys.exit(str(reason))
