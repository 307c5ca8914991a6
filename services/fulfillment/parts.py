"""The composition root: every part of fulfillment, made once from the settings and handed down."""

from dataclasses import dataclass
from datetime import timedelta

import httpx

from services.fulfillment.fulfillments.domain import Outcome, Wish
from services.fulfillment.fulfillments.use_cases import Fulfillments
from services.fulfillment.merchants.use_cases import Mirror
from services.fulfillment.metadata import audit_entries, task_tables
from services.fulfillment.neighbours.catalog import CatalogMerchants
from services.fulfillment.settings import Settings
from services.fulfillment.tills.lanes import Lanes
from services.fulfillment.tills.requests import Requests
from services.fulfillment.tills.use_cases import Tills
from services.fulfillment.vouchers.codes import CodeSafe
from services.fulfillment.vouchers.issuing import Issuing
from services.fulfillment.vouchers.use_cases import Wallet
from shared.audit import Audit
from shared.batcher import Batcher
from shared.clock import Clock, DatabaseClock
from shared.database import Database, DatabaseUnavailable, Overloaded
from shared.http_client import AccessToken, ServiceClient, new_http_client
from shared.migrations import head_of, is_at_head
from shared.paging import Cursors
from shared.secrets import Vault
from shared.tasks import Tasks


@dataclass(frozen=True)
class Parts:
    """What the application and the worker are made of."""

    database: Database
    clock: Clock
    tasks: Tasks
    cursors: Cursors
    fulfillments: Fulfillments
    accepting: Batcher[Wish, Outcome]
    wallet: Wallet
    tills: Tills
    lanes: Lanes
    requests: Requests
    mirror: Mirror
    http: httpx.AsyncClient
    head: str

    async def ready(self) -> dict[str, bool]:
        """Whether the database answers and has the schema that this code was written for."""
        try:
            async with self.database.transaction() as conn:
                return {"database": True, "schema": await is_at_head(conn, self.head)}
        except (DatabaseUnavailable, Overloaded):
            return {"database": False, "schema": False}

    async def close(self) -> None:
        """Finish what is in hand and let go of the database and the network."""
        await self.lanes.close()
        await self.accepting.close()
        await self.http.aclose()
        await self.database.dispose()


def make_parts(settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None) -> Parts:
    """Connects to nothing yet. Tests replace the clock, and what stands for the network."""
    database = Database(settings.database_url.get_secret_value(), pool_size=settings.pool_size, pgbouncer=settings.pgbouncer)
    clock = clock or DatabaseClock()
    audit, tasks = Audit(audit_entries), Tasks(task_tables, lease_seconds=settings.task_lease_seconds)
    safe = CodeSafe(Vault(settings.voucher_keys), settings.voucher_pepper)
    fulfillments = Fulfillments(database, clock, audit, Issuing(audit, safe, settings.bank_timezone))
    window = timedelta(minutes=settings.reversal_minutes_max)
    tills = Tills(database, clock, audit, timezone=settings.bank_timezone, reversal_window=window)
    http = new_http_client(transport)
    return Parts(
        database=database,
        clock=clock,
        tasks=tasks,
        cursors=Cursors(settings.cursor_key),
        fulfillments=fulfillments,
        accepting=Batcher(fulfillments.accept, name="accept fulfillments"),
        wallet=Wallet(database, clock, audit, tasks, safe),
        tills=tills,
        lanes=Lanes(tills),
        requests=Requests(safe),
        mirror=Mirror(database, clock, tasks, CatalogMerchants(_catalog(settings, http))),
        http=http,
        head=head_of("fulfillment"),
    )


def _catalog(settings: Settings, http: httpx.AsyncClient) -> ServiceClient:
    token = AccessToken(
        http,
        token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        scope="internal",
    )
    return ServiceClient("catalog", settings.catalog_url, token, http)
