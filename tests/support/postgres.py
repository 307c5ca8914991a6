"""A real PostgreSQL for tests: Testcontainers where Docker answers, else the embedded server.

Each service's migrations run once into a template; every test gets a copy of its own. With HUANGOU_TEST_PGBOUNCER=1 the
service's role goes through PgBouncer in transaction mode, which the services' settings then learn from their variables.
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from deploy.local.pgbouncer import PgBouncer
from deploy.local.postgres import EmbeddedPostgres
from deploy.postgres.provision import SERVICES, RolePasswords, provision_database, provision_roles
from shared import migrations

PASSWORDS = RolePasswords(owner="owner-of-a-test", service="service-of-a-test")
CONTAINER_IMAGE = "postgres:18"
THROUGH_PGBOUNCER = os.environ.get("HUANGOU_TEST_PGBOUNCER") == "1"
POOLED = (*SERVICES, "mechanisms")
"""Whose service roles PgBouncer lets in; `mechanisms` is the service of the tests of `shared/`."""


@dataclass(frozen=True)
class TestDatabase:
    """A service's database in one test: the address of the service's role, the owner's and the superuser's."""

    __test__ = False

    name: str
    url: str
    owner_url: str
    superuser_url: str


class TestServer:
    """One server for a whole test run."""

    __test__ = False

    def __init__(self, superuser_url: str, *, pooler_port: int | None = None) -> None:
        self._superuser_url = superuser_url
        self._pooler_port = pooler_port
        self._templates: set[str] = set()
        self._numbers = itertools.count(1)

    def database(self, service: str) -> TestDatabase:
        """A fresh copy of a service's migrated database."""
        if service not in self._templates:
            self._make_template(service)
        name = f"{service}_{os.getpid()}_{next(self._numbers)}"
        provision_database(self._superuser_url, service, name, template=f"{service}_template")
        return self._named(service, name)

    def drop(self, database: TestDatabase) -> None:
        """Remove a copy."""
        with psycopg.connect(self._superuser_url, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def empty(self, service: str) -> TestDatabase:
        """A database without a table, for tests of the migrations themselves."""
        provision_roles(self._superuser_url, service, PASSWORDS)
        name = f"{service}_empty_{next(self._numbers)}"
        provision_database(self._superuser_url, service, name)
        return self._named(service, name)

    def _make_template(self, service: str) -> None:
        provision_roles(self._superuser_url, service, PASSWORDS)
        name = f"{service}_template"
        provision_database(self._superuser_url, service, name)
        migrations.upgrade(service, self._named(service, name).owner_url)
        self._templates.add(service)

    def _named(self, service: str, name: str) -> TestDatabase:
        def address(user: str | None = None, password: str | None = None) -> str:
            url = make_url(self._superuser_url).set(database=name)
            if user is not None:
                url = url.set(username=user, password=password)
            if user == f"{service}_service" and self._pooler_port is not None:
                url = url.set(host="127.0.0.1", port=self._pooler_port)
            return url.render_as_string(hide_password=False)

        return TestDatabase(
            name=name,
            url=address(f"{service}_service", PASSWORDS.service),
            owner_url=address(f"{service}_owner", PASSWORDS.owner),
            superuser_url=address(),
        )


@contextlib.contextmanager
def test_server() -> Iterator[TestServer]:
    """Start a server for this run, or use the one that TEST_POSTGRES_URL names (a superuser's address)."""
    with contextlib.ExitStack() as held:
        url = held.enter_context(_any_server())
        pooler = held.enter_context(_pooler(url)) if THROUGH_PGBOUNCER else None
        yield TestServer(url, pooler_port=None if pooler is None else pooler.port)


@contextlib.contextmanager
def _any_server() -> Iterator[str]:
    named = os.environ.get("TEST_POSTGRES_URL")
    if named:
        yield named
    elif docker_answers():
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - costs a second to import

        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        options = "-c max_connections=200 -c fsync=off"
        with PostgresContainer(CONTAINER_IMAGE, driver=None).with_command(f"postgres {options}") as container:
            yield container.get_connection_url(driver=None)
    else:
        with EmbeddedPostgres.temporary() as server:
            yield server.url()


def _pooler(superuser_url: str) -> PgBouncer:
    """PgBouncer in front of a server on this machine; settings that tests build are told by the environment."""
    for service in SERVICES:
        os.environ[f"{service.upper()}_PGBOUNCER"] = "true"
    port = make_url(superuser_url).port
    assert port is not None
    return PgBouncer(port, {f"{service}_service": PASSWORDS.service for service in POOLED})


def docker_answers() -> bool:
    """Whether a Docker engine can be asked for containers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
