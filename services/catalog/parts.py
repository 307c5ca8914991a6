"""The composition root: every part of the catalog, made once from the settings and handed down."""

from dataclasses import dataclass

from services.catalog.browsing.shelf import SNAPSHOT_SECONDS_MAX
from services.catalog.browsing.use_cases import Browsing
from services.catalog.merchants.use_cases import Merchants
from services.catalog.metadata import audit_entries, idempotency_keys, task_tables
from services.catalog.reservations.domain import Outcome
from services.catalog.reservations.lanes import Lanes
from services.catalog.reservations.use_cases import Reservations
from services.catalog.returns.domain import Return
from services.catalog.returns.use_cases import Returns
from services.catalog.settings import Settings
from services.catalog.versions.use_cases import Versions
from shared.audit import Audit
from shared.batcher import Batcher
from shared.clock import Clock, DatabaseClock
from shared.database import Database, DatabaseUnavailable, Overloaded
from shared.idempotency import Keys, Once
from shared.migrations import head_of, is_at_head
from shared.paging import Cursors
from shared.tasks import Tasks


@dataclass(frozen=True)
class Parts:
    """What the application and the worker are made of."""

    database: Database
    clock: Clock
    tasks: Tasks
    once: Once
    versions: Versions
    browsing: Browsing
    reservations: Reservations
    lanes: Lanes
    returning: Batcher[Return, Outcome]
    merchants: Merchants
    head: str

    async def ready(self) -> dict[str, bool]:
        """Whether the database answers and has the schema that this code was written for."""
        try:
            async with self.database.transaction() as conn:
                return {"database": True, "schema": await is_at_head(conn, self.head)}
        except (DatabaseUnavailable, Overloaded):
            return {"database": False, "schema": False}

    async def close(self) -> None:
        """Finish what is in hand and let go of the database."""
        await self.lanes.close()
        await self.returning.close()
        await self.database.dispose()


def make_parts(settings: Settings, *, clock: Clock | None = None) -> Parts:
    """Connects to nothing yet. Tests replace the clock."""
    database = Database(settings.database_url.get_secret_value(), pool_size=settings.pool_size, pgbouncer=settings.pgbouncer)
    clock = clock or DatabaseClock()
    audit = Audit(audit_entries)
    reservations = Reservations(database, clock, audit, settings.bank_timezone)
    return Parts(
        database=database,
        clock=clock,
        tasks=Tasks(task_tables, lease_seconds=settings.task_lease_seconds),
        once=Once(database, clock, Keys(idempotency_keys)),
        versions=Versions(database, audit, settings.bank_timezone),
        browsing=Browsing(
            database,
            clock,
            settings.bank_timezone,
            Cursors(settings.cursor_key),
            snapshot_seconds_max=SNAPSHOT_SECONDS_MAX,
        ),
        reservations=reservations,
        lanes=Lanes(reservations),
        returning=Batcher(Returns(database, clock, audit).give_back, name="return"),
        merchants=Merchants(database),
        head=head_of("catalog"),
    )
