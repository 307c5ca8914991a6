"""The schema: migrations and models agree, and the database itself refuses wrong arrows."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, make_url

import services.catalog.tables  # noqa: F401 - every table is defined
from services.catalog.metadata import metadata
from services.catalog.reservations.domain import ARROWS, State
from services.catalog.worker import make_worker
from shared import migrations
from shared.tasks import NewTask
from tests.support.catalog import Catalog, offer_row, wish
from tests.support.postgres import TestDatabase, TestServer

QUERIES = {
    "constraints": "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "columns": "SELECT table_name || '.' || column_name, concat_ws(' ', udt_name, is_nullable, column_default, is_identity)"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "options": "SELECT relname, array_to_string(reloptions, ',') FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace",
}


def schema_of(database: TestDatabase) -> Mapping[str, Mapping[str, Any]]:
    with psycopg.connect(database.superuser_url) as conn:
        return {
            what: {name: found for name, found in conn.execute(query) if "alembic_version" not in name}
            for what, query in QUERIES.items()
        }


@pytest.mark.proves("X1")
def test_the_migrations_and_the_tables_agree_down_to_every_constraint(
    catalog_database: TestDatabase, postgres: TestServer
) -> None:
    command.check(migrations.config_of("catalog", catalog_database.owner_url))
    made = postgres.empty("catalog")
    engine = create_engine(make_url(made.owner_url).set(drivername="postgresql+psycopg"))
    metadata.create_all(engine)
    engine.dispose()
    migrated, modelled = schema_of(catalog_database), schema_of(made)
    postgres.drop(made)
    assert migrated == modelled
    assert len(migrated["constraints"]) > 80


@pytest.mark.anyio
@pytest.mark.proves("G10", "G11")
async def test_a_reservation_goes_along_its_arrows_alone_even_for_the_owner(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    await catalog.put("reservations", [wish()])
    move = "UPDATE reservations SET state = %s, reasons = %s"
    for before in State:
        for after in set(State) - {before}:
            with psycopg.connect(catalog_database.superuser_url) as conn:
                conn.execute("ALTER TABLE reservations DISABLE TRIGGER only_along_arrows")
                conn.execute(move, [before, "[]" if before is State.REFUSED else None])
                conn.execute("ALTER TABLE reservations ENABLE TRIGGER only_along_arrows")
                values = [after, "[]" if after is State.REFUSED else None]
                if after in ARROWS[before]:
                    conn.execute(move, values)
                else:
                    with pytest.raises(psycopg.errors.RestrictViolation):
                        conn.execute(move, values)
                conn.rollback()


@pytest.mark.anyio
@pytest.mark.proves("X7")
async def test_it_is_ready_only_with_the_schema_that_it_was_written_for(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    answer = await catalog.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (200, {"database": True, "schema": True, "keys": True})
    with psycopg.connect(catalog_database.superuser_url) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0001'")
    assert (await catalog.client.get("/readyz")).status_code == 503
    assert (await catalog.client.get("/livez")).status_code == 200
    assert "huangou_batch_commands" in (await catalog.client.get("/metrics")).text


@pytest.mark.anyio
async def test_the_worker_drops_old_tasks_and_never_an_answer_kept_under_a_key(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(offers=[offer_row()])
    async with catalog.parts.database.transaction() as conn:
        now = await catalog.parts.clock.now(conn)
        await catalog.parts.tasks.add(conn, [NewTask(kind="done long ago", run_at=now)])
    with psycopg.connect(catalog_database.superuser_url) as plain:
        plain.execute("UPDATE tasks SET state = 'done', changed_at = changed_at - interval '2 days'")
    await make_worker(catalog.parts)._keep_house()
    with psycopg.connect(catalog_database.superuser_url) as plain:
        tasks = plain.execute("SELECT count(*) FROM tasks").fetchone()
        keys = plain.execute("SELECT count(*) FROM idempotency_keys").fetchone()
    assert tasks == (0,)
    assert keys == (2,)
