"""The databases and roles: made twice without a difference, and nobody crosses into another's."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from deploy.local.postgres import EmbeddedPostgres
from deploy.postgres.provision import SERVICES, RolePasswords, provision, provision_database

PASSWORDS = {name: RolePasswords(owner=f"it's the owner of {name}", service=f"service/of/{name}") for name in SERVICES}


@pytest.fixture(scope="module")
def provisioned() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres.temporary() as server:
        provision(server.url(), PASSWORDS)
        provision(server.url(), PASSWORDS)
        yield server


def connect(server: EmbeddedPostgres, service: str, kind: str, database: str) -> psycopg.Connection:
    password = getattr(PASSWORDS[service], kind)
    return psycopg.connect(
        host="127.0.0.1", port=server.port, user=f"{service}_{kind}", password=password, dbname=database, autocommit=True
    )


@pytest.mark.proves("X1")
@pytest.mark.parametrize(("mine", "other"), list(itertools.permutations(SERVICES, 2)))
@pytest.mark.parametrize("kind", ["owner", "service"])
def test_no_role_connects_to_the_database_of_another_service(
    provisioned: EmbeddedPostgres, mine: str, other: str, kind: str
) -> None:
    with connect(provisioned, mine, kind, mine) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (f"{mine}_{kind}",)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(provisioned, mine, kind, other)


@pytest.mark.parametrize("shared", ["postgres", "template1"])
def test_no_role_connects_to_what_every_server_brings(provisioned: EmbeddedPostgres, shared: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(provisioned, "catalog", "service", shared)


def test_the_service_role_owns_nothing_and_sees_only_what_is_granted(provisioned: EmbeddedPostgres) -> None:
    with connect(provisioned, "catalog", "owner", "catalog") as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS seen (one integer)")
        owner.execute("CREATE TABLE IF NOT EXISTS hidden (one integer)")
        owner.execute("GRANT SELECT ON seen TO catalog_service")
    with connect(provisioned, "catalog", "service", "catalog") as service:
        assert service.execute("SELECT * FROM seen").fetchall() == []
        for statement in (
            "SELECT * FROM hidden",
            "INSERT INTO seen VALUES (1)",
            "CREATE TABLE mine (one integer)",
            "CREATE TEMPORARY TABLE mine (one integer)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "CREATE DATABASE mine",
            "SET ROLE catalog_owner",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                service.execute(statement)


def test_what_statements_may_take_stands_on_the_service_role(provisioned: EmbeddedPostgres) -> None:
    with connect(provisioned, "redemption", "service", "redemption") as conn:
        shown = [
            conn.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "jit", "timezone")
        ]
    assert shown == ["5s", "2s", "15s", "off", "UTC"]


def test_a_copy_of_a_database_is_closed_to_others_as_well(provisioned: EmbeddedPostgres) -> None:
    provision_database(provisioned.url(), "fulfillment", "fulfillment_copy", template="fulfillment")
    with connect(provisioned, "fulfillment", "service", "fulfillment_copy"):
        pass
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(provisioned, "catalog", "service", "fulfillment_copy")


def test_as_a_program_it_says_which_variables_are_missing_and_prints_no_password(provisioned: EmbeddedPostgres) -> None:
    line = [sys.executable, "-m", "deploy.postgres.provision"]
    folder = Path(__file__).parents[3]
    variables = {
        f"{name.upper()}_{kind.upper()}_PASSWORD": getattr(PASSWORDS[name], kind)
        for name in SERVICES
        for kind in ("owner", "service")
    }

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"]} | variables | more
        return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    missing = run()
    assert (missing.returncode, missing.stderr) == (1, "Set PROVISION_URL.\n")
    done = run(PROVISION_URL=provisioned.url())
    assert done.returncode == 0, done.stderr
    assert not any(secret in done.stdout for secret in variables.values())
