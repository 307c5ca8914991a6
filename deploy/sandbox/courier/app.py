"""The courier's HTTP side: parcels for whoever sends them, faults and events on demand for whoever tries things out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.courier.parcels import Kind, ParcelBody, Parcels
from deploy.sandbox.courier.settings import CourierSettings
from deploy.sandbox.courier.telling import Teller
from deploy.sandbox.doors import Body, Refusal, livez, locked, read, refuse
from deploy.sandbox.faults import Faults, Faulty
from shared.settings import load

LOOK_EVERY_SECONDS = 0.2


class EventBody(Body):
    """An event on demand; where no place is named, the one where such things happen."""

    kind: Kind
    place: str | None = None


class Courier:
    """The routes and what they share."""

    def __init__(self, settings: CourierSettings, http: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self._pace_seconds = settings.pace_seconds
        self._clock = clock
        self.faults = Faults()
        self.parcels = Parcels(settings.state_file, settings.carrier, clock)
        self.teller = Teller(self.parcels, self.faults, http, clock, url=settings.webhook_url, secret=settings.webhook_secret)

    async def book(self, request: Request) -> Response:
        """PUT /v1/parcels/{reference}: the same reference again is the same parcel."""
        asked = await read(request, ParcelBody)
        parcel, is_new = self.parcels.book(request.path_params["reference"], asked)
        return JSONResponse(self.parcels.answer(parcel), 201 if is_new else 200)

    async def look(self, request: Request) -> Response:
        """GET /v1/parcels/{reference}: the booking, and all that happened, whether it was told or not."""
        parcel = self.parcels.find(request.path_params["reference"])
        return JSONResponse({**self.parcels.answer(parcel), "events": parcel.events})

    async def happen(self, request: Request) -> Response:
        """POST /sandbox/parcels/{tracking_number}/events: something happens now."""
        asked = await read(request, EventBody)
        parcel = self.parcels.find_tracked(request.path_params["tracking_number"])
        event = self.parcels.add_event(parcel, asked.kind, asked.place)
        self.teller.add(event)
        return JSONResponse(event, 201)

    async def list_parcels(self, _request: Request) -> Response:
        """GET /sandbox/parcels: every parcel, how often it was asked for, and what happened to it."""
        items = [{**self.parcels.answer(p), "asked": p.asked, "events": p.events} for p in self.parcels.all()]
        return JSONResponse({"items": items})

    def play(self) -> None:
        """Let happen what happens by itself."""
        if not self._pace_seconds:
            return
        self.parcels.catch_up()
        now = self._clock()
        for parcel in self.parcels.all():
            kind = parcel.next_kind()
            if kind is not None and now - parcel.moved_at >= self._pace_seconds:
                self.teller.add(self.parcels.add_event(parcel, kind))

    async def live(self) -> None:
        """Play and tell until cancelled."""
        while True:
            self.play()
            await self.teller.send_due()
            await asyncio.sleep(LOOK_EVERY_SECONDS)


def build(
    settings: CourierSettings, *, http: httpx.AsyncClient | None = None, clock: Callable[[], float] = time.time
) -> Starlette:
    """The courier as an ASGI application; tests bring the way to whoever is told, and let it live by hand."""
    client = http or httpx.AsyncClient(trust_env=False)
    courier = Courier(settings, client, clock)
    key, sandbox_key = settings.key.get_secret_value(), settings.sandbox_key.get_secret_value()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        living = asyncio.create_task(courier.live())
        yield
        living.cancel()
        await asyncio.wait({living})
        if http is None:
            await client.aclose()

    routes = [
        Route("/v1/parcels/{reference}", locked(key, courier.book), methods=["PUT"]),
        Route("/v1/parcels/{reference}", locked(key, courier.look), methods=["GET"]),
        Route("/sandbox/parcels", locked(sandbox_key, courier.list_parcels), methods=["GET"]),
        Route("/sandbox/parcels/{tracking_number}/events", locked(sandbox_key, courier.happen), methods=["POST"]),
        Route("/sandbox/faults", locked(sandbox_key, courier.faults.show), methods=["GET"]),
        Route("/sandbox/faults", locked(sandbox_key, courier.faults.change), methods=["PUT"]),
        Route("/livez", livez),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Faulty, faults=courier.faults)],
        exception_handlers={Refusal: refuse},
        lifespan=lifespan,
    )
    app.state.courier = courier
    return app


def create() -> Starlette:
    """The courier as the environment describes it."""
    return build(load(CourierSettings))
