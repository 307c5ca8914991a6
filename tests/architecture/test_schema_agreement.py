"""The migrations make what the models say, down to every constraint; the service's role can do no more than it should."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url

from shared import migrations
from tests.support.postgres import TestDatabase, TestServer

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/alembic.ini"))
FACTS = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid), coll.collname
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
          LEFT JOIN pg_collation coll ON coll.oid = a.attcollation
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype::text, condeferrable, condeferred, convalidated,
               pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "guards of parked tasks": """
        SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace
           AND proname IN ('task_fingerprint', 'guard_parked_task', 'guard_decided_redrive')
        UNION ALL
        SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger
         WHERE NOT tgisinternal AND tgrelid::regclass::text IN ('tasks', 'task_redrives')""",
    "tables": """
        SELECT relname, array_to_string(reloptions, ','), relpersistence::text
          FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace""",
}
Facts = dict[str, set[tuple[object, ...]]]


def facts_of(url: str) -> Facts:
    """Everything about a schema that the models speak of; alembic's own table is no part of it."""
    with psycopg.connect(url) as conn:
        found = {name: set(conn.execute(query).fetchall()) for name, query in FACTS.items()}
    return {name: {row for row in rows if "alembic_version" not in str(row)} for name, rows in found.items()}


def modelled(server: TestServer, service: str) -> TestDatabase:
    """A database made from the models alone."""
    importlib.import_module(f"services.{service}.tables")
    metadata = importlib.import_module(f"services.{service}.metadata").metadata
    place = server.empty(service)
    engine = create_engine(make_url(place.owner_url).set(drivername="postgresql+psycopg"))
    metadata.create_all(engine)
    engine.dispose()
    return place


def append_only(service: str) -> set[str]:
    """The tables that a service's migrations name as such."""
    package = ROOT / "services" / service / "migrations" / "versions"
    names: set[str] = set()
    changeable: set[str] = set()
    for found in pkgutil.iter_modules([str(package)]):
        spec = found.module_finder.find_spec(found.name, None)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        names |= set(getattr(module, "APPEND_ONLY", ()))
        changeable |= set(getattr(module, "NO_LONGER_APPEND_ONLY", ()))
    return names - changeable


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def migrated(service: str, database_of: Callable[[str], TestDatabase]) -> TestDatabase:
    return database_of(service)


@pytest.fixture
def from_models(service: str, postgres: TestServer) -> Iterator[TestDatabase]:
    made = modelled(postgres, service)
    yield made
    postgres.drop(made)


def test_the_migrations_make_what_the_models_say(migrated: TestDatabase, from_models: TestDatabase) -> None:
    by_migrations, by_models = facts_of(migrated.owner_url), facts_of(from_models.owner_url)
    for name in FACTS:
        assert by_migrations[name] - by_models[name] == set(), f"{name} that only the migrations know"
        assert by_models[name] - by_migrations[name] == set(), f"{name} that only the models know"
        assert by_models[name]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("ALTER TABLE tasks DROP CONSTRAINT ck_tasks_payload_small", "constraints"),
        ("ALTER TABLE tasks DROP CONSTRAINT ck_tasks_state_known;"
         "ALTER TABLE tasks ADD CONSTRAINT ck_tasks_state_known CHECK (state IN ('ready', 'done'))", "constraints"),
        ("DROP INDEX ix_tasks_due", "indexes"),
        ("DROP INDEX uq_tasks_live; CREATE UNIQUE INDEX uq_tasks_live ON tasks (kind, dedupe_key)", "indexes"),
        ("ALTER TABLE tasks ALTER failures SET DEFAULT 1", "columns"),
        ("ALTER TABLE tasks ALTER failures TYPE bigint", "columns"),
        ("ALTER TABLE tasks ALTER payload DROP NOT NULL", "columns"),
        ("ALTER TABLE tasks ADD COLUMN extra int", "columns"),
        ("ALTER TABLE tasks RESET (fillfactor)", "tables"),
        ("CREATE TABLE extra ()", "tables"),
        ("DROP TRIGGER parked_tasks_wait ON tasks", "guards of parked tasks"),
        ("ALTER FUNCTION guard_parked_task() SECURITY INVOKER", "guards of parked tasks"),
    ],
)  # fmt: skip
def test_a_difference_would_be_seen(database_of: Callable[[str], TestDatabase], change: str, where: str) -> None:
    place = database_of(SERVICES[0])
    before = facts_of(place.owner_url)
    with psycopg.connect(place.owner_url, autocommit=True) as conn:
        conn.execute(change)
    assert facts_of(place.owner_url)[where] != before[where]


@pytest.mark.proves("G46")
def test_what_is_only_appended_cannot_be_changed_by_the_service(service: str, migrated: TestDatabase) -> None:
    tables = append_only(service)
    assert "audit_entries" in tables
    assert tables >= {"redemption": {"postings"}, "catalog": {"stock_movements"}}.get(service, set())
    with psycopg.connect(migrated.url) as conn:
        for table in tables:
            for right in ("UPDATE", "DELETE", "TRUNCATE"):
                granted = conn.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone()
                assert granted == (False,), f"{right} on {table}"
            assert conn.execute("SELECT has_any_column_privilege(%s, 'UPDATE')", [table]).fetchone() == (False,), table
            assert conn.execute("SELECT has_table_privilege(%s, 'SELECT')", [table]).fetchone() == (True,), table


def test_what_is_only_appended_refuses_a_change_to_its_owner_too(service: str, migrated: TestDatabase) -> None:
    with psycopg.connect(migrated.owner_url, autocommit=True) as conn:
        guarded = {
            row[0]
            for row in conn.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"
                " AND tgfoid = 'refuse_change'::regproc AND tgtype & 16 > 0 AND tgtype & 8 > 0"  # on update, on delete
            )
        }
        assert guarded == append_only(service)


def test_the_workers_housekeeping_may_delete_what_is_done(migrated: TestDatabase) -> None:
    with psycopg.connect(migrated.url) as conn:
        for table in ("tasks", "schedule_ticks"):
            assert conn.execute("SELECT has_table_privilege(%s, 'SELECT, DELETE')", [table]).fetchone() == (True,)


def test_the_service_owns_nothing_and_makes_nothing(service: str, migrated: TestDatabase) -> None:
    with psycopg.connect(migrated.url, autocommit=True) as conn:
        owned = conn.execute("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole").fetchone()
        assert owned == (0,)
        for statement in ("CREATE TABLE mine ()", "CREATE SCHEMA mine", "CREATE TEMP TABLE mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)
    for other in set(SERVICES) - {service}:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(migrated.url.replace(f"{service}_service", f"{other}_service"))


def test_migrating_again_changes_nothing(service: str, migrated: TestDatabase) -> None:
    before = facts_of(migrated.owner_url)
    migrations.upgrade(service, migrated.owner_url)
    assert facts_of(migrated.owner_url) == before
