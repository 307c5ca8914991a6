"""A small application on the shared mechanisms, for the tests of what every service answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.app import build_app, new_router
from shared.clock import DatabaseClock
from shared.database import Database
from shared.errors import DomainError
from shared.idempotency import Keys, Once
from shared.identity import KeySource, Principal, TokenVerifier, allow, allow_anyone, customers, merchants, services, staff
from shared.paging import LIMIT_MAX, Cursors
from shared.problems import Catalogue, NotFound, problem
from shared.sets import as_json, insert_rows
from tests.support.mechanisms import idempotency_keys, ledger
from tests.support.tokens import AUDIENCE, ISSUER

WORKBOOK_BYTES_MAX = 1024 * 1024
SECRET = "13812345678 hunter2"


class OutOfApples(DomainError):
    """There are no apples left."""


class Unmapped(DomainError):
    """Nobody gave this error a problem type."""


CATALOGUE = Catalogue(
    {
        OutOfApples: problem(
            "out-of-apples", 409, "只剩{left}个苹果。", "只剩{left}個蘋果。", "Only {left} apples are left.", shows=("left",)
        )
    }
)


class Order(BaseModel):
    """What a caller may send."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=40)
    quantity: int = Field(ge=1, le=10)


def new_app(keys: KeySource, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The application with these routes and the plain ones."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {"database": True}

    return build_app(
        title="Tiny",
        description="For tests.",
        routers=[plain_routes(), *routers],
        catalogue=CATALOGUE,
        tokens=TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE),
        ready=ready,
        lifespan=lifespan,
    )


def client_of(app: FastAPI, **options: Any) -> httpx.AsyncClient:
    """A client of an application in this process; what the application raises is answered, as a server would."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://tiny", **options)


def plain_routes() -> APIRouter:
    """Routes that need no database."""
    router = new_router()
    cursors = Cursors(b"k" * 32)

    @router.post("/v1/echo", dependencies=[allow_anyone()])
    async def echo(order: Order) -> Order:
        return order

    @router.put("/v1/workbook", dependencies=[allow_anyone()], max_body_size=WORKBOOK_BYTES_MAX)
    async def workbook(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @router.get("/v1/list", dependencies=[allow_anyone()])
    async def listed(
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 20, cursor: str | None = None, x_tries: Annotated[int, Header()] = 1
    ) -> dict[str, Any]:
        return {"after": cursors.read("list", cursor), "next": cursors.make("list", [limit, "苹果"])}

    @router.get("/v1/fail/{how}", dependencies=[allow_anyone()])
    async def fail(how: str) -> None:
        raise {"not-found": NotFound(), "apples": OutOfApples(left=2), "unmapped": Unmapped(), "bug": ValueError(SECRET)}[how]

    def who_am_i(path: str, policy: Any) -> None:
        @router.get(path)
        async def answer(who: Annotated[Principal, policy]) -> dict[str, str]:
            return {"actor": who.actor}

    who_am_i("/v1/mine", allow(customers("points:read")))
    who_am_i("/v1/desk", allow(staff("agent", "reviewer")))
    who_am_i("/v1/till", allow(merchants("vouchers:use")))
    who_am_i("/v1/inside", allow(services("internal"), staff("administrator")))
    return router


class OrderBook:
    """A write with a key: each order is a row in the ledger, and its behaviour is set by its name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._once = Once(database, DatabaseClock(), Keys(idempotency_keys))
        self.fail = False
        self.seconds = 0.0

    def routes(self) -> APIRouter:
        """POST /v1/orders and, so that routes differ, /v1/other-orders."""
        router = new_router()

        @router.post("/v1/orders", status_code=201)
        @router.post("/v1/other-orders", status_code=201)
        async def place(request: Request, order: Order, who: Annotated[Principal, allow(customers("points:read"))]) -> Response:
            async def work(conn: AsyncConnection, now: Any) -> tuple[int, bytes, str | None]:
                await insert_rows(conn, ledger, [{"name": order.name}])
                await asyncio.sleep(self.seconds)
                if self.fail:
                    raise ValueError(SECRET)
                if order.name == "apples":
                    raise OutOfApples(left=3)
                count = (await conn.execute(text("SELECT count(*) FROM ledger"))).scalar_one()
                return 201, as_json({"order": order.name, "number": count}).encode(), f"/v1/orders/{count}"

            return await self._once.respond(request, who, as_json(order.model_dump()).encode(), work)

        return router
