"""Redemption's parts, put together once a process: what every use case works with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import httpx

from services.redemption.customers import store as customers
from services.redemption.customers.domain import Customer, UnknownCustomer
from services.redemption.customers.personal_data import PersonalData
from services.redemption.metadata import audit_entries, idempotency_keys, task_tables
from services.redemption.neighbours.catalog import Catalog
from services.redemption.neighbours.fulfillment import Fulfillment
from services.redemption.settings import Settings
from shared.audit import Audit
from shared.batcher import Batcher
from shared.clock import Clock, DatabaseClock, bank_day
from shared.database import Database, DatabaseUnavailable, Overloaded
from shared.http_client import AccessToken, ServiceClient, new_http_client
from shared.idempotency import Keys
from shared.migrations import head_of, is_at_head
from shared.paging import Cursors
from shared.remembered import Remembered
from shared.secrets import Vault
from shared.tasks import Tasks

SCOPES = "internal reservations:write fulfillments:write"
"""What this service asks for itself: to read from its neighbours, and what it alone may have them do."""
CUSTOMERS_SEEN_MAX = 50_000
CUSTOMERS_SEEN_SECONDS = 60.0


@dataclass(frozen=True)
class Parts:
    """Everything with a life of its own in one process of this service."""

    settings: Settings
    database: Database
    clock: Clock
    tasks: Tasks
    keys: Keys
    audit: Audit
    cursors: Cursors
    personal_data: PersonalData
    catalog: Catalog
    fulfillment: Fulfillment
    http: httpx.AsyncClient
    head: str
    customers: Batcher[tuple[str, str], Customer]
    """Looks customers up by that identity, those who come at the same time together."""
    customers_seen: Remembered[tuple[str, str], Customer]
    """Customers by the identity they sign in with: once given to a customer it is never given to another."""

    @property
    def timezone(self) -> ZoneInfo:
        """The bank's time zone: its days are the days of every promise."""
        return self.settings.bank_timezone

    def day(self, now: datetime) -> date:
        """The bank's day of an instant."""
        return bank_day(now, self.timezone)

    async def ready(self) -> dict[str, bool]:
        """Whether this process can do its work: the database answers and has the schema that this code was written for."""
        try:
            async with self.database.transaction() as conn:
                return {"database": True, "schema": await is_at_head(conn, self.head)}
        except (DatabaseUnavailable, Overloaded):
            return {"database": False, "schema": False}

    async def close(self) -> None:
        """Let go of the database and the network."""
        await self.customers.close()
        await self.http.aclose()
        await self.database.dispose()


def make_parts(settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None) -> Parts:
    """Connects to nothing yet. Tests replace the clock, and what stands for the network."""
    database = Database(settings.database_url.get_secret_value(), pool_size=settings.pool_size, pgbouncer=settings.pgbouncer)
    clock = clock or DatabaseClock()
    keys = Keys(idempotency_keys)
    http = new_http_client(transport)
    token = AccessToken(
        http,
        token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        scope=SCOPES,
    )
    return Parts(
        settings=settings,
        database=database,
        clock=clock,
        tasks=Tasks(task_tables, lease_seconds=settings.task_lease_seconds),
        keys=keys,
        audit=Audit(audit_entries),
        cursors=Cursors(settings.cursor_key),
        personal_data=PersonalData(Vault(settings.data_keys), settings.lookup_key),
        catalog=Catalog(ServiceClient("catalog", settings.catalog_url, token, http)),
        fulfillment=Fulfillment(ServiceClient("fulfillment", settings.fulfillment_url, token, http)),
        http=http,
        head=head_of("redemption"),
        customers=Batcher(partial(_find_customers, database), name="find customers"),
        customers_seen=Remembered(most=CUSTOMERS_SEEN_MAX, seconds=CUSTOMERS_SEEN_SECONDS),
    )


async def _find_customers(database: Database, identities: Sequence[tuple[str, str]]) -> list[Customer | BaseException]:
    async with database.transaction() as conn:
        found = await customers.find_by_identity(conn, identities)
    return [found.get(identity) or UnknownCustomer() for identity in identities]
