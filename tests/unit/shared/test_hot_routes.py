"""A hot route answers what any other route answers, whatever is sent: it only has the shorter way to it."""

import inspect
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response

from shared.app import new_router
from shared.hot_routes import HotRoutes, hot
from shared.identity import Principal, allow, customers
from shared.sets import as_json
from shared.telemetry import current_trace_id
from tests.support.tiny_app import Order, OutOfApples, client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
Reader = Annotated[Principal, allow(customers("points:read"))]
GOOD = b'{"name":"a","quantity":1}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def routes() -> APIRouter:
    """The same two functions twice: by the short way below /hot, by the usual one below /usual."""
    router = new_router()

    async def order(request: Request, number: int, body: Order, who: Reader) -> Response:
        if body.name == "apples":
            raise OutOfApples(left=2)
        if body.name == "bug":
            raise ValueError("hunter2")
        said = {"actor": who.actor, "number": number, "quantity": body.quantity, "path": request.url.path[-8:]}
        return Response(as_json(said), status_code=201, media_type="application/json")

    async def look(who: Reader, limit: Annotated[int, Query(ge=1, le=9)] = 3, word: str | None = None) -> Response:
        said = {"actor": who.actor, "limit": limit, "word": word, "trace": current_trace_id()}
        return Response(as_json(said), media_type="application/json")

    for place, mark in (("hot", hot), ("usual", lambda function: function)):
        router.post(f"/{place}/orders/{{number}}", name=f"{place} order")(mark(_copy(order)))
        router.get(f"/{place}/look", name=f"{place} look")(mark(_copy(look)))
    return router


def _copy(function: Any) -> Any:
    async def copied(**values: Any) -> Response:
        found: Response = await function(**values)
        return found

    copied.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    copied.__annotations__ = function.__annotations__
    return copied


@pytest.fixture
def app(issuer: Issuer) -> FastAPI:
    return new_app(issuer, [routes()])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


SENT: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "orders/7", {"content": GOOD}),
    ("POST", "orders/7", {"content": GOOD, "headers": {"content-type": "application/vnd.x+json; charset=utf-8"}}),
    ("POST", "orders/7", {"content": GOOD, "headers": {"content-type": "text/plain"}}),
    ("POST", "orders/7", {"content": GOOD, "headers": {"content-type": ""}}),
    ("POST", "orders/seven", {"content": GOOD}),
    ("POST", "orders/7", {"content": b""}),
    ("POST", "orders/7", {"content": b"{"}),
    ("POST", "orders/7", {"content": b'{"name":"a","name":"b","quantity":1}'}),
    ("POST", "orders/7", {"content": b'{"name":"a","quantity":1.5}'}),
    ("POST", "orders/7", {"content": b'{"name":"","quantity":0,"more":1}'}),
    ("POST", "orders/seven", {"content": b'{"name":""}'}),
    ("POST", "orders/7", {"content": b'{"name":"' + b"a" * 70_000 + b'"}'}),
    ("POST", "orders/7", {"content": b'{"name":"apples","quantity":1}'}),
    ("POST", "orders/7", {"content": b'{"name":"bug","quantity":1}'}),
    ("POST", "orders/7", {"content": GOOD, "headers": {"authorization": ""}}),
    ("POST", "orders/7", {"content": b"{", "headers": {"authorization": ""}}),
    ("PUT", "orders/7", {"content": GOOD}),
    ("POST", "orders", {"content": GOOD}),
    ("GET", "look", {}),
    ("GET", "look?limit=9&word=%E8%8B%B9", {}),
    ("GET", "look?limit=10", {}),
    ("GET", "look?limit=2&limit=4", {}),
    ("GET", "look/", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), SENT)
async def test_the_short_way_answers_what_the_usual_one_does(
    client: httpx.AsyncClient, issuer: Issuer, method: str, path: str, sent: dict[str, Any]
) -> None:
    answers = []
    for place in ("hot", "usual"):
        headers = {
            **issuer.customer("c-1"),
            "content-type": "application/json",
            "traceparent": TRACE,
            **sent.get("headers", {}),
        }
        answer = await client.request(method, f"/{place}/{path}", content=sent.get("content"), headers=headers)
        answers.append((answer.status_code, answer.headers["content-type"], answer.text.replace(place, "place")))
    assert answers[0] == answers[1]


async def test_a_question_that_was_asked_before_is_answered_for_whoever_asks_now(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    for subject in ("c-1", "c-2"):
        answer = await client.get("/hot/look?limit=2", headers=issuer.customer(subject))
        assert (answer.json()["actor"], answer.json()["limit"]) == (f"customer:{subject}", 2)
    assert (await client.get("/hot/look?limit=2")).status_code == 401


async def test_a_request_without_a_trace_gets_one_of_its_own(client: httpx.AsyncClient, issuer: Issuer) -> None:
    traces = {(await client.get("/hot/look", headers=issuer.customer("c-1"))).json()["trace"] for _ in range(3)}
    assert len(traces) == 3
    assert "0" * 32 not in traces


def test_a_hot_route_that_takes_what_the_short_way_does_not_know_stops_the_start(issuer: Issuer) -> None:
    router = new_router()

    @router.get("/v1/odd")
    @hot
    async def odd(who: Reader, x_tries: Annotated[int, Header()] = 1) -> Response:
        return Response()

    app = new_app(issuer, [router])
    with pytest.raises(RuntimeError, match="/v1/odd"):
        HotRoutes(app, app)
