"""A database that holds nothing but the mechanisms' own tables and a ledger, for the tests of shared/."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, DateTime, Identity, Table, Text, Uuid, create_engine, make_url, text

from shared.audit import define_audit
from shared.database import Database, new_metadata
from shared.idempotency import define_idempotency
from shared.tasks import define_tasks
from tests.support.postgres import THROUGH_PGBOUNCER, TestDatabase, TestServer

metadata = new_metadata()
task_tables = define_tasks(metadata)
audit_entries = define_audit(metadata)
idempotency_keys = define_idempotency(metadata)
# Nothing keeps an item from standing here twice: what must happen once has to be kept to once by the mechanism under test.
ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("item", Uuid),
    Column("name", Text),
    Column("at", DateTime(timezone=True), server_default=text("clock_timestamp()")),
)
GRANTS = {
    "tasks": "SELECT, INSERT, UPDATE, DELETE",
    "schedule_ticks": "SELECT, INSERT, DELETE",
    "task_redrives": "SELECT, INSERT (id, task_id, reason, fingerprint, asked_by), UPDATE (state, decided_by, decided_at)",
    "audit_entries": "SELECT, INSERT",
    "idempotency_keys": "SELECT, INSERT, UPDATE",
    "ledger": "SELECT, INSERT, UPDATE, DELETE",
}


@dataclass(frozen=True)
class Mechanisms:
    """One database of the mechanisms, opened as a service would."""

    place: TestDatabase
    database: Database

    def as_owner(self, statement: str) -> None:
        """Run one statement as the owner, behind the service's back."""
        engine = create_engine(make_url(self.place.owner_url).set(drivername="postgresql+psycopg"))
        with engine.begin() as conn:
            conn.execute(text(statement))
        engine.dispose()

    async def value(self, query: str, **values: object) -> object:
        """The one value that a query gives."""
        async with self.database.transaction() as conn:
            return (await conn.execute(text(query), values)).scalar_one_or_none()

    async def rows(self, query: str, **values: object) -> list[tuple[object, ...]]:
        """Every row that a query gives."""
        async with self.database.transaction() as conn:
            return [tuple(row) for row in await conn.execute(text(query), values)]


def make_mechanisms(server: TestServer, *, pool_size: int = 8) -> Mechanisms:
    """A fresh database with the tables and a service's grants on them."""
    place = server.empty("mechanisms")
    engine = create_engine(make_url(place.owner_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as conn:
        metadata.create_all(conn)
        for table, rights in GRANTS.items():
            conn.execute(text(f"GRANT {rights} ON {table} TO mechanisms_service"))
    engine.dispose()
    return Mechanisms(place, Database(place.url, pool_size=pool_size, pgbouncer=THROUGH_PGBOUNCER))
