"""The composition root: every part of fulfillment, made once from the settings and handed down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from services.fulfillment.branches.domain import Pace
from services.fulfillment.branches.use_cases import Branches
from services.fulfillment.carriers.signatures import CarrierSignatures
from services.fulfillment.carriers.use_cases import CarrierEvents
from services.fulfillment.fulfillments.cancelling import Cancellation, Cancelling
from services.fulfillment.fulfillments.domain import Outcome, Stopped, Wish
from services.fulfillment.fulfillments.fingerprints import Fingerprints
from services.fulfillment.fulfillments.reporting import Reporting
from services.fulfillment.fulfillments.use_cases import Fulfillments
from services.fulfillment.merchants.use_cases import Mirror
from services.fulfillment.metadata import audit_entries, task_tables
from services.fulfillment.neighbours.catalog import CatalogMerchants
from services.fulfillment.neighbours.courier import courier_at
from services.fulfillment.neighbours.notifications import notifications_at
from services.fulfillment.neighbours.redemption import RedemptionOutcomes
from services.fulfillment.notices.use_cases import Notices
from services.fulfillment.parcels.changes import Changing
from services.fulfillment.parcels.contacts import Contacts, ContactSafe
from services.fulfillment.parcels.counter import Counter, Deed, serve
from services.fulfillment.parcels.dispatching import Dispatching
from services.fulfillment.parcels.losses import Losses
from services.fulfillment.parcels.packing import Packing, Timing
from services.fulfillment.parcels.pickup_codes import PickupCodeSafe
from services.fulfillment.parcels.shipments import Shipments
from services.fulfillment.parcels.use_cases import Parcels
from services.fulfillment.parcels.waiting import Waiting
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

SCOPES = "internal outcomes:write"
"""What this service asks for itself: to read from its neighbours, and to tell redemption how parts stand, as it alone may."""


@dataclass(frozen=True)
class Parts:
    """What the application and the worker are made of."""

    database: Database
    clock: Clock
    tasks: Tasks
    cursors: Cursors
    fulfillments: Fulfillments
    accepting: Batcher[Wish, Outcome]
    fingerprints: Fingerprints
    wallet: Wallet
    tills: Tills
    lanes: Lanes
    requests: Requests
    mirror: Mirror
    cancelling: Batcher[Cancellation, Stopped]
    reporting: Reporting
    dispatching: Dispatching
    parcels: Parcels
    counter: Counter
    losses: Losses
    at_counter: Batcher[Deed, None]
    waiting: Waiting
    branches: Branches
    carrier_events: CarrierEvents
    signatures: CarrierSignatures
    notices: Notices
    clients: Sequence[httpx.AsyncClient]
    """One for the services, one for the courier, one for the gateway of notices: a slow one holds up nobody else."""
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
        await self.cancelling.close()
        await self.at_counter.close()
        for client in self.clients:
            await client.aclose()
        await self.database.dispose()


@dataclass(frozen=True)
class _Ground:
    """What every part stands on."""

    settings: Settings
    database: Database
    clock: Clock
    audit: Audit
    tasks: Tasks
    http: httpx.AsyncClient
    token: AccessToken

    def service(self, name: str, url: str) -> ServiceClient:
        """A neighbour, to be asked with our token."""
        return ServiceClient(name, url, self.token, self.http)


def make_parts(settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None) -> Parts:
    """Connects to nothing yet. Tests replace the clock, and what stands for the network."""
    http, to_courier, to_gateway = (new_http_client(transport) for _ in range(3))
    ground = _Ground(
        settings=settings,
        database=Database(settings.database_url.get_secret_value(), pool_size=settings.pool_size, pgbouncer=settings.pgbouncer),
        clock=clock or DatabaseClock(),
        audit=Audit(audit_entries),
        tasks=Tasks(task_tables, lease_seconds=settings.task_lease_seconds),
        http=http,
        token=_token(settings, http),
    )
    catalog = CatalogMerchants(ground.service("catalog", settings.catalog_url))
    return Parts(
        database=ground.database,
        clock=ground.clock,
        tasks=ground.tasks,
        cursors=Cursors(settings.cursor_key),
        mirror=Mirror(ground.database, ground.clock, ground.tasks, catalog),
        clients=(http, to_courier, to_gateway),
        head=head_of("fulfillment"),
        **_vouchers(ground),
        **_parcels(ground, to_courier, to_gateway),
    )


def _vouchers(ground: _Ground) -> dict[str, Any]:
    """The parts that hold vouchers, and the tills'."""
    settings, common = ground.settings, (ground.database, ground.clock, ground.audit)
    safe = CodeSafe(Vault(settings.voucher_keys), settings.voucher_pepper)
    window = timedelta(minutes=settings.reversal_minutes_max)
    tills = Tills(*common, timezone=settings.bank_timezone, reversal_window=window)
    return {
        "wallet": Wallet(*common, ground.tasks, safe),
        "tills": tills,
        "lanes": Lanes(tills),
        "requests": Requests(safe),
    }


def _parcels(ground: _Ground, to_courier: httpx.AsyncClient, to_gateway: httpx.AsyncClient) -> dict[str, Any]:
    """The parts that hand out: fulfillments with their parcels, branches, carriers and notices."""
    settings, zone, tasks = ground.settings, ground.settings.bank_timezone, ground.tasks
    timed, common = (ground.database, ground.clock), (ground.database, ground.clock, ground.audit)
    keys, pepper = Vault(settings.voucher_keys), settings.voucher_pepper
    codes, contacts = PickupCodeSafe(keys, pepper), ContactSafe(Vault(settings.data_keys or settings.voucher_keys))
    changing, pace = Changing(ground.audit, tasks), Pace(settings.transfer_days, settings.pickup_days)
    timing = Timing(timedelta(seconds=settings.preparing_seconds), pace, zone)
    issuing = Issuing(ground.audit, CodeSafe(keys, pepper), zone)
    fulfillments = Fulfillments(*common, issuing, Packing(ground.audit, tasks, contacts, timing))
    courier = courier_at(settings.courier_url, settings.courier_key.get_secret_value(), to_courier)
    gateway = notifications_at(settings.notifications_url, settings.notifications_key.get_secret_value(), to_gateway)
    events = CarrierEvents(*timed, tasks, Shipments(changing), courier)
    redemption = RedemptionOutcomes(ground.service("redemption", settings.redemption_url))
    return {
        "fulfillments": fulfillments,
        "accepting": Batcher(fulfillments.accept, name="accept fulfillments"),
        "fingerprints": Fingerprints(pepper),
        "cancelling": Batcher(Cancelling(*common, changing).cancel, name="cancel fulfillments"),
        "reporting": Reporting(ground.database, tasks, redemption),
        "dispatching": Dispatching(*timed, tasks, changing, contacts, courier),
        "parcels": Parcels(*common, contacts, codes),
        "counter": Counter(*common, changing, codes, pickup_days=settings.pickup_days, timezone=zone),
        "losses": Losses(*timed, changing),
        "at_counter": Batcher(serve, size_max=1, name="serve at the counter"),
        "waiting": Waiting(*common, tasks, changing, reminder_days=settings.reminder_days, timezone=zone),
        "branches": Branches(*common, pace, zone),
        "carrier_events": events,
        "signatures": CarrierSignatures(settings.carrier_secrets, events.now),
        "notices": Notices(*common, tasks, Contacts(contacts), gateway, zone),
    }


def _token(settings: Settings, http: httpx.AsyncClient) -> AccessToken:
    return AccessToken(
        http,
        token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        scope=SCOPES,
    )
