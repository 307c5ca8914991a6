"""The suite as processes on a PostgreSQL with fsync; each can be killed, paused and armed with failpoints."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.processes import tethered
from tests.support.outside import CARRIER, CARRIER_SECRET
from tests.support.postgres import TestDatabase, TestServer
from tests.support.roadside import serve_roadside
from tests.support.suite import KEY
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

ROOT = Path(__file__).parents[2]
SERVICES = ("catalog", "redemption", "fulfillment")
APPS = tuple(f"{service} app" for service in SERVICES)
PROGRAMS = (*APPS, "redemption worker", "fulfillment worker")
LEASE_SECONDS = 1
FAILPOINT_CODE = 137
BORN_SECONDS_MAX = 60.0
# After a crash the server first syncs every file it has, one by one; a kill -9 leaves them all with the system anyway.
SWIFT_RECOVERY = {"recovery_init_sync_method": "syncfs"}


class Nursery:
    """Forks the suite's programs (see `nursery.py`), and knows how each of them ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            tethered([sys.executable, "-m", "tests.support.nursery"], farewell=signal.SIGKILL),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._news = threading.Condition()
        self._started: list[int] = []
        self._ready = False
        self.codes: dict[int, int] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, **order: Any) -> int:
        """Fork one program; answers its process id."""
        assert self._process.stdin is not None
        with self._news:
            assert self._news.wait_for(lambda: self._ready, BORN_SECONDS_MAX), "the nursery did not start"
            self._process.stdin.write((json.dumps(order) + "\n").encode())
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: self._started, BORN_SECONDS_MAX), "nothing was started"
            return self._started.pop()

    def close(self) -> None:
        """End the nursery; its children end with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            with self._news:
                self._ready = self._ready or "ready" in news
                if "started" in news:
                    self._started.append(news["started"])
                if "ended" in news:
                    self.codes[news["ended"]] = news["code"]
                self._news.notify_all()


class Program:
    """One program of the suite: its present process, and how many came before it."""

    def __init__(self, name: str, nursery: Nursery, log: Path, environment: dict[str, str], port: int | None) -> None:
        self.name, self.port = name, port
        service, part = name.split()[:2]
        self._nursery = nursery
        self._order = {"module": f"services.{service}.{part}", "port": port, "log": str(log)}
        self._environment = environment
        self.pid = 0
        self.deaths: list[int] = []

    @property
    def has_ended(self) -> bool:
        """Whether the present process is gone."""
        return self.pid in self._nursery.codes

    @property
    def code(self) -> int:
        """How the present process ended: its exit code, or a signal's number below zero."""
        return self._nursery.codes[self.pid]

    def start(self, failpoints: str = "") -> None:
        """Start a process; `failpoints` as the environment variable has it."""
        environment = {**self._environment, "HUANGOU_FAILPOINTS": failpoints}
        self.pid = self._nursery.start(**self._order, environment=environment)

    def send(self, number: signal.Signals) -> None:
        """Kill, pause, or let go on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def gone(self, seconds: float = 10.0) -> None:
        """Wait until the present process is gone."""
        async with asyncio.timeout(seconds):
            while not self.has_ended:
                await asyncio.sleep(0.01)


class Machine:
    """PostgreSQL, the three APIs, two workers, a courier and a gateway, and somebody who starts again whatever has died."""

    def __init__(self, server: EmbeddedPostgres, databases: dict[str, TestDatabase], nursery: Nursery, issuer: Issuer) -> None:
        self.server, self.databases, self.issuer, self._nursery = server, databases, issuer, nursery
        self._folder = tempfile.TemporaryDirectory(prefix="huangou-machine-")
        self.logs = Path(self._folder.name)
        self._identity = serve_identity(issuer)
        self.roadside = serve_roadside()
        self._ports = {service: _free_port() for service in SERVICES}
        self.programs = {name: self._program(name, nursery) for name in PROGRAMS}
        self.keeping = True
        # The server ends with the thread that started it, so that it needs one that lives as long as this machine.
        self._hands = ThreadPoolExecutor(max_workers=1)

    def url(self, service: str) -> str:
        """The address of a service's API."""
        return f"http://127.0.0.1:{self._ports[service]}"

    def words(self, name: str) -> str:
        """The last lines of a program's log."""
        path = self.logs / f"{name.replace(' ', '-')}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def start(self) -> None:
        """Start every program that does not run."""
        for program in self.programs.values():
            if not program.pid or program.has_ended:
                program.start()

    async def stop(self) -> None:
        """Kill every program."""
        for program in self.programs.values():
            program.send(signal.SIGKILL)
        for program in self.programs.values():
            await program.gone()

    def close(self) -> None:
        """End the programs and whoever served them."""
        for program in self.programs.values():
            program.send(signal.SIGKILL)
        self.server.kill()
        self._hands.shutdown()
        self._identity.shutdown()
        self._identity.server_close()
        self.roadside.close()
        self._folder.cleanup()

    async def ready(self, *names: str, seconds: float = 30.0) -> None:
        """Wait until these APIs can do their work."""
        for name in names:
            program, until = self.programs[name], time.monotonic() + seconds
            while not await asyncio.to_thread(answers, f"http://127.0.0.1:{program.port}/readyz"):
                assert time.monotonic() < until, f"{name} is not ready: {self.words(name)}"
                await asyncio.sleep(0.05)

    async def restart(self, failpoints: dict[str, str]) -> None:
        """Kill programs with -9 and start them anew, armed as given; APIs are waited for."""
        self.keeping = False
        for name, armed in failpoints.items():
            program = self.programs[name]
            program.send(signal.SIGKILL)
            await program.gone()
            program.start(armed)
        self.keeping = True
        await self.ready(*(name for name in failpoints if self.programs[name].port is not None))

    async def crash_database(self, *, seconds: float) -> None:
        """Kill the postmaster with -9, and start it again after some seconds, while everybody else goes on."""
        self.server.kill()
        await asyncio.sleep(seconds)
        await asyncio.get_running_loop().run_in_executor(self._hands, self.server.restart_after_crash)

    def checkpoint(self) -> None:
        """Have the server write down all it has, so that a crash leaves it little to replay."""
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute("CHECKPOINT")

    @contextlib.contextmanager
    def joined(self, name: str) -> Iterator[Program]:
        """One more program for a while, such as `redemption worker 2`."""
        program = self.programs[name] = self._program(name, self._nursery)
        program.start()
        try:
            yield program
        finally:
            self.programs.pop(name).send(signal.SIGKILL)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """While this lasts, whatever program ends is started again without failpoints, as a supervisor would."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait({keeper})

    async def _keep(self) -> None:
        while True:
            for program in [*self.programs.values()]:
                if self.keeping and program.has_ended:
                    program.deaths.append(program.code)
                    program.start()
            await asyncio.sleep(0.05)

    def _program(self, name: str, nursery: Nursery) -> Program:
        service, part = name.split()[:2]
        log = self.logs / f"{name.replace(' ', '-')}.log"
        first = len(name.split()) == 2  # a second API of a service listens on a port of its own
        port = None if part != "app" else self._ports[service] if first else _free_port()
        return Program(name, nursery, log, self._environment(service), port)

    def _environment(self, service: str) -> dict[str, str]:
        identity = f"http://127.0.0.1:{self._identity.server_address[1]}"
        keys = json.dumps({"k1": KEY})
        values = {
            "DATABASE_URL": self.databases[service].url, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "JWKS_URL": f"{identity}/keys",
            "TOKEN_URL": f"{identity}/token", "CLIENT_ID": service, "CLIENT_SECRET": "x", "CURSOR_KEY": KEY, "POOL_SIZE": "4",
            "TASK_LEASE_SECONDS": str(LEASE_SECONDS), "LOG_LEVEL": "WARNING", "CATALOG_URL": self.url("catalog"),
            "FULFILLMENT_URL": self.url("fulfillment"), "DATA_KEYS": keys, "LOOKUP_KEY": KEY, "VOUCHER_KEYS": keys,
            "VOUCHER_PEPPER": KEY, "REDEMPTION_URL": self.url("redemption"),
            "COURIER_URL": self.roadside.url, "COURIER_KEY": "x", "NOTIFICATIONS_URL": self.roadside.url,
            "NOTIFICATIONS_KEY": "x", "CARRIER_SECRETS": json.dumps({CARRIER: [CARRIER_SECRET]}),
        }  # fmt: skip
        return {f"{service.upper()}_{name}": value for name, value in values.items()}


@contextlib.contextmanager
def running_machine(issuer: Issuer) -> Iterator[Machine]:
    """The suite as processes on a database server of their own; each service has an empty, migrated database."""
    nursery = Nursery()
    try:
        with EmbeddedPostgres.temporary(fsync=True, settings=SWIFT_RECOVERY) as server:
            made = TestServer(server.url())
            machine = Machine(server, {service: made.database(service) for service in SERVICES}, nursery, issuer)
            try:
                machine.start()
                yield machine
            finally:
                machine.close()
    finally:
        nursery.close()


def serve_identity(issuer: Issuer) -> ThreadingHTTPServer:
    """The test's identity provider over HTTP: its published keys, and tokens for the services."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(asyncio.run(issuer.fetch()))

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = issuer.granted(self.headers["Authorization"], form)
            self._answer({"access_token": token, "expires_in": 300})

        def _answer(self, body: dict[str, Any]) -> None:
            sent = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answers(url: str) -> bool:
    """Whether somebody answers there with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
