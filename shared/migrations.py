"""Migrations: run as a step of their own by the role that owns the database, never at a service's start (G51)."""

import argparse
import os
import sys
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, make_url, pool, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

LOCK_SECONDS_MAX = 2
OTHER_RUNNER_SECONDS_MAX = 120
ROOT = Path(__file__).resolve().parent.parent


def config_of(service: str, url: str = "") -> Config:
    """The alembic configuration of one service; its folder is `services/<service>/migrations`."""
    config = Config(ROOT / "services" / service / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    config.attributes["url"] = url
    return config


def upgrade(service: str, url: str, revision: str = "head") -> None:
    """Bring a database up to a revision, all or nothing. `url` is that of the owner role."""
    command.upgrade(config_of(service, url), revision)


def head_of(service: str) -> str:
    """The newest revision that this code knows."""
    head = ScriptDirectory.from_config(config_of(service)).get_current_head()
    assert head is not None
    return head


async def is_at_head(conn: AsyncConnection, head: str) -> bool:
    """Whether the database is at the revision that this code was written for."""
    found = await conn.execute(text("SELECT version_num FROM alembic_version"))
    return found.scalar_one_or_none() == head


def run_from_env(metadata: MetaData, url: str) -> None:
    """What every service's `migrations/env.py` calls."""
    if context.is_offline_mode():
        context.configure(url="postgresql://", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    _make_version_table(engine)
    with engine.begin() as conn:
        _one_at_a_time(conn)
        conn.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'"))
        context.configure(connection=conn, target_metadata=metadata, compare_type=True, compare_server_default=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _make_version_table(engine: Engine) -> None:
    """Make alembic's table before anybody locks it, in a commit of its own: of several first runners one makes it."""
    statement = (
        "CREATE TABLE IF NOT EXISTS alembic_version "
        "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    for _ in range(2):
        try:
            with engine.begin() as conn:
                conn.execute(text(statement))
        except (IntegrityError, ProgrammingError):  # another one was just making it: IF NOT EXISTS does not wait for that
            continue
        return


def _one_at_a_time(conn: Connection) -> None:
    """Two runners at once: the second waits here, then finds nothing left to do. No service is held up by this lock."""
    conn.execute(text(f"SET LOCAL lock_timeout = '{OTHER_RUNNER_SECONDS_MAX}s'"))
    conn.execute(text("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE"))


def main() -> None:
    """`python -m shared.migrations catalog`: the owner's address comes from CATALOG_OWNER_DATABASE_URL."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("service")
    service: str = parser.parse_args().service
    upgrade(service, os.environ[f"{service.upper()}_OWNER_DATABASE_URL"])
    sys.stdout.write(f"{service}: at {head_of(service)}\n")


if __name__ == "__main__":
    main()
