"""Makes the suite's databases on any PostgreSQL: one per service, with a role that owns it and one the service runs as.

Run again it changes nothing but passwords. As a program it reads PROVISION_URL (a superuser's address) and two
passwords a service, such as CATALOG_OWNER_PASSWORD and CATALOG_SERVICE_PASSWORD. The roles are the same on one machine,
in containers and on a managed server.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

SERVICES = ("catalog", "redemption", "fulfillment")
SERVICE_ROLE_SETTINGS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "15s",
    # Statements are short here. A server that takes one for a long one would compile it for longer than it runs; before
    # PostgreSQL 18 it does so wherever a way of joining that was told off is the only one there is (`shared/books.py`).
    "jit": "off",
    "timezone": "UTC",
}
OWNER_ROLE_SETTINGS = {"timezone": "UTC"}


@dataclass(frozen=True)
class RolePasswords:
    """The passwords of a service's two roles; never printed."""

    owner: str = field(repr=False)
    service: str = field(repr=False)


def provision(superuser_url: str, passwords: Mapping[str, RolePasswords]) -> None:
    """Make the database `<service>` with the roles `<service>_owner` and `<service>_service` for each service named."""
    for service, pair in passwords.items():
        provision_roles(superuser_url, service, pair)
        provision_database(superuser_url, service)
    _close_shared_databases(superuser_url)


def provision_roles(superuser_url: str, service: str, passwords: RolePasswords) -> None:
    """Make or renew a service's two roles; what the service role may take of the server's time is set on the role.

    Timeouts stand on the role because a pooler in transaction mode passes on no settings of a session.
    """
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        for role, password, settings in (
            (f"{service}_owner", passwords.owner, OWNER_ROLE_SETTINGS),
            (f"{service}_service", passwords.service, SERVICE_ROLE_SETTINGS),
        ):
            name = sql.Identifier(role)
            if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                conn.execute(sql.SQL("CREATE ROLE {}").format(name))
            # sent as a verifier: a plain password would stand in the server's log if statements are logged
            verifier = conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            conn.execute(
                sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}").format(
                    name, sql.Literal(verifier)
                )
            )
            for setting, value in settings.items():
                conn.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value)))


def provision_database(superuser_url: str, service: str, database: str | None = None, template: str = "template0") -> None:
    """Make a database (by default named as the service) that the service's two roles alone can connect to.

    A test that wants a copy gives its name and the migrated database as `template`; a copy does not bring the grants
    on the database itself.
    """
    database = database or service
    names = {
        "database": sql.Identifier(database),
        "owner": sql.Identifier(f"{service}_owner"),
        "service": sql.Identifier(f"{service}_service"),
        "template": sql.Identifier(template),
    }
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            conn.execute(
                sql.SQL("CREATE DATABASE {database} OWNER {owner} TEMPLATE {template} ENCODING 'UTF8'").format(**names)
            )
        conn.execute(sql.SQL("ALTER DATABASE {database} OWNER TO {owner}").format(**names))
        conn.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names))
        conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {database} TO {service}").format(**names))
    with psycopg.connect(make_conninfo(superuser_url, dbname=database), autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER SCHEMA public OWNER TO {owner}").format(**names))
        conn.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        conn.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {service}").format(**names))


def _close_shared_databases(superuser_url: str) -> None:
    """Nobody but superusers has business in the databases every server comes with; a managed server's are not ours."""
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        row = conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if row and row[0]:
            conn.execute("REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")


def main(environment: Mapping[str, str] = os.environ) -> None:
    """Provision all services from the environment."""
    variables = {name: (f"{name.upper()}_OWNER_PASSWORD", f"{name.upper()}_SERVICE_PASSWORD") for name in SERVICES}
    missing = [
        key for key in ("PROVISION_URL", *(key for pair in variables.values() for key in pair)) if not environment.get(key)
    ]
    if missing:
        sys.exit(f"Set {', '.join(missing)}.")
    pairs = {name: RolePasswords(environment[owner], environment[service]) for name, (owner, service) in variables.items()}
    provision(environment["PROVISION_URL"], pairs)
    print(f"Databases and roles are there: {', '.join(SERVICES)}.")


if __name__ == "__main__":
    main()
