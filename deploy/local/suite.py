"""The table of what runs on one machine: PostgreSQL, then databases and migrations, the sandbox, the services."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy import environments
from deploy.local.failure import CannotStart
from deploy.local.folders import lesser_user, make_folder
from deploy.local.installation import Installation
from deploy.local.postgres import FAST_STOP, EmbeddedPostgres
from deploy.local.processes import tethered
from deploy.local.program import Born, Program, answers
from deploy.local.supervisor import Step
from deploy.postgres.provision import SERVICES, provision

CHECKOUT = Path(__file__).resolve().parents[2]
CONSOLE = "console"
SANDBOX = ("identity", "courier", "notifications")


@dataclass(frozen=True)
class Ports:
    """The ports on loopback, counted from a base; HUANGOU_PORT_BASE moves them all."""

    base: int = 8100

    @property
    def console(self) -> int:
        """The console."""
        return self.base

    @property
    def identity(self) -> int:
        """The sandbox's identity provider."""
        return self.base + 9

    @property
    def courier(self) -> int:
        """The sandbox's courier."""
        return self.base + 7

    @property
    def notifications(self) -> int:
        """The sandbox's gateway for messages."""
        return self.base + 6

    @property
    def postgres(self) -> int:
        """The database server."""
        return self.base + 32

    def api(self, service: str) -> int:
        """A service's HTTP API."""
        return self.base + 1 + SERVICES.index(service)

    def worker(self, service: str) -> int:
        """A worker's health and metrics."""
        return self.base + 11 + SERVICES.index(service)

    def all(self) -> list[int]:
        """Every port that the suite listens on."""
        alone = [self.console, *(self.of(name) for name in SANDBOX), self.postgres]
        return [*alone, *map(self.api, SERVICES), *map(self.worker, SERVICES)]

    def of(self, name: str) -> int:
        """The port of an API or of a part of the sandbox."""
        return int(getattr(self, name)) if name in (CONSOLE, *SANDBOX) else self.api(name)

    def url(self, port: int) -> str:
        """The address of one of them."""
        return f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Suite:
    """Where everything is on this machine, and with which secrets."""

    state: Path
    ports: Ports
    secrets: Installation

    def postgres(self) -> EmbeddedPostgres:
        """The database server over this state's data."""
        return EmbeddedPostgres.of(self.state, password=self.secrets.postgres_password, port=self.ports.postgres)

    def database_url(self, service: str, kind: str) -> str:
        """The address of a service's database for one of its roles: `owner` or `service`."""
        password = getattr(self.secrets.roles[service], kind)
        return f"postgresql://{service}_{kind}:{password}@127.0.0.1:{self.ports.postgres}/{service}"

    def stages(self, server: EmbeddedPostgres) -> list[list[Program | Step]]:
        """What to start, in order; each stage waits for the one before."""
        services = [program for service in SERVICES for program in (self._api(service), self._worker(service))]
        return [
            [self._postgres(server), *(self._sandbox(name) for name in SANDBOX)],
            [self.provision],
            [self.migrate],
            [*services, self._console()],
        ]

    async def provision(self) -> str:
        """Make the databases and roles, or bring their passwords up to date."""
        url = self.postgres().url()
        await asyncio.to_thread(provision, url, self.secrets.role_passwords())
        return "databases and roles are there"

    async def migrate(self) -> str:
        """Run all migrations as the databases' owners, in a process of its own. Raises CannotStart with its last words."""
        owners = {f"{service.upper()}_OWNER_DATABASE_URL": self.database_url(service, "owner") for service in SERVICES}
        process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", "deploy.local.migrating"], farewell=signal.SIGTERM),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=CHECKOUT,
            env={**os.environ, **owners},
            start_new_session=True,
        )
        output, _ = await process.communicate()
        words = output.decode(errors="replace").strip().splitlines() or ["nothing was said"]
        if process.returncode != 0:
            raise CannotStart(f"The migrations failed: {words[-1]}")
        return f"migrations are done: {', '.join(words[-len(SERVICES) :])}"

    @property
    def issuer(self) -> str:
        """The identity provider, as everybody on this machine reaches it."""
        return self.url("identity")

    @property
    def console(self) -> str:
        """The console, as browsers on this machine reach it."""
        return self.url(CONSOLE)

    def url(self, name: str) -> str:
        """The address of an API or of a part of the sandbox."""
        return self.ports.url(self.ports.of(name))

    def service_environment(self, service: str) -> dict[str, str]:
        """The variables of a service's API and worker."""
        return environments.service_environment(service, self, self.secrets)

    def worker_port(self, service: str) -> int:
        """The port of a worker's health and metrics."""
        return self.ports.worker(service)

    def _postgres(self, server: EmbeddedPostgres) -> Program:
        async def is_ready(born: Born) -> bool:
            return server.is_ready(born.pid)

        return Program(
            name="postgresql",
            prepare=server.prepare,
            command=lambda _descriptors: server.program(),
            is_ready=is_ready,
            own_port=self.ports.postgres,
            farewell=FAST_STOP,
            stop_seconds=30.0,
            run_as=lesser_user(),
        )

    def _sandbox(self, name: str) -> Program:
        return Program(
            name=f"sandbox {name}",
            command=lambda descriptors: _serving(f"deploy.sandbox.{name}.app", descriptors),
            is_ready=answers("/livez"),
            port=self.ports.of(name),
            environment=self._sandbox_environment(name),
        )

    def _sandbox_environment(self, name: str) -> dict[str, str]:
        """The variables of a part of the sandbox."""
        if name == "identity":
            return environments.identity_environment(self, self.secrets)
        memory = make_folder(self.state / "sandbox", 0o700)
        if name == "courier":
            return environments.courier_environment(self, self.secrets, memory)
        return environments.notifications_environment(self.secrets, memory)

    def _api(self, service: str) -> Program:
        return Program(
            name=service,
            command=lambda descriptors: _serving(f"services.{service}.app", descriptors),
            is_ready=answers("/readyz"),
            port=self.ports.api(service),
            environment=self.service_environment(service),
        )

    def _console(self) -> Program:
        return Program(
            name=CONSOLE,
            command=lambda descriptors: _serving("services.console.app", descriptors),
            is_ready=answers("/readyz"),
            port=self.ports.console,
            environment=environments.console_environment(self, self.secrets),
        )

    def _worker(self, service: str) -> Program:
        return Program(
            name=f"{service} worker",
            command=lambda _descriptors: [sys.executable, "-m", f"services.{service}.worker"],
            is_ready=answers("/readyz", self.ports.worker(service)),
            own_port=self.ports.worker(service),
            environment=self.service_environment(service),
        )


def _serving(module: str, descriptors: Sequence[int]) -> list[str]:
    """An API's command line; it takes the listening sockets that we opened."""
    sockets = [word for descriptor in descriptors for word in ("--fd", str(descriptor))]
    return [sys.executable, "-m", "shared.serving", f"{module}:create", *sockets]
