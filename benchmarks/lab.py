"""The suite as it is measured: PostgreSQL with fsync, services and workers as processes, and what they are compared with."""

import asyncio
import base64
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.loading import load_everything
from deploy.local.demo.run import free_ports
from deploy.local.failure import CannotStart
from deploy.local.installation import load_installation
from deploy.local.program import Program, answers
from deploy.local.speaking import Speaker
from deploy.local.suite import CHECKOUT, Ports, Suite
from deploy.local.supervisor import Supervisor
from deploy.postgres.provision import SERVICES
from deploy.sandbox.identity.tokens import Signer

APPLICATIONS = ("hello", "empty")
COPIES = {"redemption": "redemption_copy", "fulfillment": "fulfillment_copy"}
"""Databases of the same rows, in which PostgreSQL is measured alone."""
QUIET_SECONDS_MAX = 600.0
TOKEN_SECONDS = 600


@dataclass(frozen=True)
class Lab:
    """A running suite, and ways to look into it."""

    suite: Suite
    supervisor: Supervisor
    speaker: Speaker
    signer: Signer

    def port_of(self, application: str) -> int:
        """Where `hello` and `empty` listen."""
        return _port_of(self.suite.ports, application)

    async def ask(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, as the superuser."""
        async with await psycopg.AsyncConnection.connect(self.suite.postgres().url(database), autocommit=True) as conn:
            return await (await conn.execute(query.encode())).fetchall()

    def send_to_workers(self, number: signal.Signals) -> None:
        """Stop the workers of all services for a while (SIGSTOP), or let them go on (SIGCONT)."""
        for service in SERVICES:
            os.kill(self.supervisor.process_of(f"{service} worker"), number)

    @asynccontextmanager
    async def without_workers(self) -> AsyncIterator[None]:
        """Nothing but the requests is carried out; what they leave to do waits."""
        await self.quiet()
        self.send_to_workers(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send_to_workers(signal.SIGCONT)

    async def quiet(self) -> None:
        """Wait until nothing is left to do. Raises CannotStart when it takes too long."""
        query = "SELECT FROM tasks WHERE state = 'ready' AND ref IS NOT NULL AND run_at <= clock_timestamp()"
        await self.until_none(query, SERVICES)

    async def until_none(self, query: str, databases: Iterable[str], *, look_every_seconds: float = 0.2) -> None:
        """Wait until the query finds no row in any of these databases. Raises CannotStart when it takes too long."""
        until = time.monotonic() + QUIET_SECONDS_MAX
        for database in databases:
            while (await self.ask(database, f"SELECT EXISTS ({query})"))[0][0]:
                if time.monotonic() > until:
                    raise CannotStart("The workers did not come to an end.")
                await asyncio.sleep(look_every_seconds)

    async def check_books(self) -> str:
        """Let everything end, then compare the books of the three services. Raises CannotStart when they do not balance."""
        await self.quiet()
        report = await self.speaker.reconcile()
        if report["breaks"]:
            raise CannotStart(f"The books do not balance: {report['breaks'][:3]}")
        return f"{report['redemptions']:,} redemptions, {report['fulfillments']:,} fulfillments: no break"


@asynccontextmanager
async def laboratory(state: Path, say: Any) -> AsyncIterator[Lab]:
    """Start everything in that folder of state; what a former run loaded there is used again."""
    loaded = state / "loaded"  # with the ports: customers are known by the issuer that signs them in, whose address has one
    ports = Ports(int(loaded.read_text())) if loaded.exists() else free_ports()
    suite = Suite(state, ports, load_installation(state))
    server = suite.postgres()
    if not loaded.exists():
        say("loading campaigns, customers and points")
        async with running(suite, suite.stages(server), say) as lab:
            await load_everything(lab.speaker)
            await lab.quiet()
        loaded.write_text(str(ports.base))
    first, *others, services = suite.stages(server)
    additions = [_application(suite, name) for name in APPLICATIONS]

    async def copy() -> str:
        return await asyncio.to_thread(copy_databases, suite)

    try:
        async with running(suite, [first, *others, [copy], [*services, *additions]], say) as lab:
            yield lab
    finally:
        server.close()


@asynccontextmanager
async def running(suite: Suite, stages: Any, say: Any) -> AsyncIterator[Lab]:
    """These programs, until the end of the block."""
    signer = Signer(base64.b64decode(suite.secrets.signing_key), suite.issuer, seconds=TOKEN_SECONDS)
    async with (
        Supervisor(stages, suite.state, folder=CHECKOUT, say=say) as supervisor,
        Speaker(suite) as speaker,
    ):
        yield Lab(suite, supervisor, speaker, signer)


def copy_databases(suite: Suite) -> str:
    """Copy the databases as they were loaded; nobody may be connected to them."""
    with psycopg.connect(suite.postgres().url(), autocommit=True) as conn:
        for original, copy in COPIES.items():
            conn.execute(f"DROP DATABASE IF EXISTS {copy}".encode())
            conn.execute(f"CREATE DATABASE {copy} TEMPLATE {original} OWNER {original}_owner".encode())
    for database in (*SERVICES, *COPIES.values()):  # as autovacuum does in its own time after so much was loaded
        with psycopg.connect(suite.postgres().url(database), autocommit=True) as conn:
            conn.execute("VACUUM (ANALYZE)")
    return "databases are copied"


def _port_of(ports: Ports, application: str) -> int:
    return ports.base + 50 + APPLICATIONS.index(application)


def _application(suite: Suite, name: str) -> Program:
    """Started as deploy/local/suite.py starts the services."""
    port = _port_of(suite.ports, name)
    return Program(
        name=name,
        command=lambda descriptors: serving(f"benchmarks.apps.{name}", descriptors),
        is_ready=answers("/" if name == "hello" else "/livez"),
        port=port,
        environment=suite.service_environment("redemption"),
    )


def serving(module: str, descriptors: Sequence[int]) -> list[str]:
    """The command line of an API that takes these listening sockets."""
    sockets = [word for descriptor in descriptors for word in ("--fd", str(descriptor))]
    return [sys.executable, "-m", "shared.serving", f"{module}:create", *sockets]
