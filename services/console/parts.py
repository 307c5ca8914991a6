"""The console's parts, put together once a process: what every page works with."""

import time
from dataclasses import dataclass

import httpx

from services.console.neighbours.calls import Neighbour, new_client
from services.console.neighbours.identity import Provider
from services.console.neighbours.renewing import Renewals
from services.console.sessions import Clock, Sessions
from services.console.settings import Settings
from services.console.showing import Pages
from services.console.static_files import StaticFiles
from shared.identity import KeySource
from shared.identity.tokens import PublishedKeys

SERVICES = ("catalog", "redemption", "fulfillment")


@dataclass(frozen=True)
class Parts:
    """Everything with a life of its own in one process of the console."""

    settings: Settings
    sessions: Sessions
    provider: Provider
    renewals: Renewals
    http: httpx.AsyncClient
    neighbours: dict[str, Neighbour]
    static: StaticFiles
    pages: Pages

    async def ready(self) -> dict[str, bool]:
        """The console is ready when it runs: a service that is down is shown on the pages, and takes no console away."""
        return {"pages": True}

    async def close(self) -> None:
        """Let go of the network."""
        await self.http.aclose()


def make_parts(
    settings: Settings,
    *,
    keys: KeySource | None = None,
    clock: Clock = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Parts:
    """Connects to nothing yet. Tests replace the clock, the keys, and what stands for the network."""
    http = new_client(transport)
    sessions = Sessions(
        [settings.session_key, *settings.session_keys_before],
        idle_seconds=settings.session_idle_minutes_max * 60.0,
        seconds_max=settings.session_hours_max * 3600.0,
        clock=clock,
    )
    provider = Provider(settings, keys or PublishedKeys(settings.jwks_url), http, clock)
    static = StaticFiles()
    urls = {"catalog": settings.catalog_url, "redemption": settings.redemption_url, "fulfillment": settings.fulfillment_url}
    return Parts(
        settings=settings,
        sessions=sessions,
        provider=provider,
        renewals=Renewals(provider, sessions),
        http=http,
        neighbours={name: Neighbour(name, urls[name], http) for name in SERVICES},
        static=static,
        pages=Pages(static.address_of, settings.bank_timezone),
    )
