"""What every service answers when something is wrong: problem details in three languages, and nothing of its inside."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.routing import Mount, Route

from shared.app import health_router, new_router
from shared.errors import DomainError
from shared.identity import allow_anyone
from shared.languages import LANGUAGES
from shared.problems import COMMON, FIELD_SENTENCES, TYPE_PREFIX, Catalogue
from shared.strict_json import JSON_BYTES_MAX, loads
from tests.support.tiny_app import CATALOGUE, SECRET, WORKBOOK_BYTES_MAX, client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
GOOD = {"name": "pears", "quantity": 2}


@pytest.fixture
async def client(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(new_app(issuer)) as made:
        yield made


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code, after what holds for every problem was checked."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["status"] == answer.status_code
    assert body["type"].startswith(TYPE_PREFIX)
    assert body["instance"] == answer.request.url.path
    assert {"title", "detail", "trace_id", "recoverable"} <= body.keys()
    assert len(body["trace_id"]) == 32
    return answer.status_code, body["type"].removeprefix(TYPE_PREFIX)


async def post(client: httpx.AsyncClient, raw: bytes, media: str | None = "application/json") -> httpx.Response:
    return await client.post("/v1/echo", content=raw, headers={"Content-Type": media} if media else {})


async def test_what_is_right_goes_through(client: httpx.AsyncClient) -> None:
    assert (await post(client, json.dumps(GOOD).encode())).json() == GOOD
    assert (await post(client, json.dumps(GOOD).encode(), "application/json; charset=utf-8")).status_code == 200


async def test_an_unknown_address_and_a_method_that_it_does_not_take(client: httpx.AsyncClient) -> None:
    assert problem_of(await client.get("/nowhere")) == (404, "not-found")
    assert problem_of(await client.get("/v1/list/")) == (404, "not-found")
    answer = await client.delete("/v1/echo")
    assert problem_of(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b'{"name": "a", "quantity": 1, "quantity": 2}',
        b'{"name": "a\\u0000", "quantity": 1}',
        b'{"name": "a\x00", "quantity": 1}',
        b'{"name": "\xff\xfe", "quantity": 1}',
        b'{"name": "\\ud800", "quantity": 1}',
        b'\xef\xbb\xbf{"name": "a", "quantity": 1}',
        b'{"name": "a", "quantity": NaN}',
        b'{"name": "a", "quantity": Infinity}',
        b'{"a":' * 17 + b"1" + b"}" * 17,
        b"[" * 60_000,
        "{}".encode("utf-16"),
    ],
)
async def test_json_that_two_readers_could_read_differently_is_refused(client: httpx.AsyncClient, raw: bytes) -> None:
    status, code = problem_of(await post(client, raw))
    assert (status, code) in ((400, "malformed-request"), (422, "validation-error"))
    assert status == (422 if raw == b"" else 400)


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    "quantity", ["1.0", "1e0", "1.5", "9007199254740993", "-9007199254740993", "1" * 400, "1e999", "null", "[1]"]
)
async def test_a_quantity_that_is_no_plain_whole_number_is_refused_by_its_name(
    client: httpx.AsyncClient, quantity: str
) -> None:
    answer = await post(client, b'{"name": "a", "quantity": %s}' % quantity.encode())
    assert problem_of(answer) == (422, "validation-error")
    assert answer.json()["errors"] == [{"field": "quantity", "code": "wrong-type", "detail": "类型不正确。"}]


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({**GOOD, "price": 0}, "price", "unknown"),
        ({"name": "a"}, "quantity", "missing"),
        ({"name": "", "quantity": 1}, "name", "too-small"),
        ({"name": "a" * 41, "quantity": 1}, "name", "too-large"),
        ({"name": "a", "quantity": 0}, "quantity", "too-small"),
        ({"name": "a", "quantity": 11}, "quantity", "too-large"),
        ({"name": 3, "quantity": 1}, "name", "wrong-type"),
    ],
)
async def test_each_field_that_is_wrong_is_named(
    client: httpx.AsyncClient, body: dict[str, object], field: str, code: str
) -> None:
    answer = await client.post("/v1/echo", json=body, headers={"Accept-Language": "en"})
    assert problem_of(answer) == (422, "validation-error")
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"], error["detail"]) == (field, code, FIELD_SENTENCES[code]["en"])


@pytest.mark.proves("G42")
@pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "text/json", None])
async def test_a_body_that_does_not_call_itself_json_is_refused(client: httpx.AsyncClient, media: str | None) -> None:
    raw = json.dumps(GOOD).encode()
    assert problem_of(await post(client, raw, media)) == (415, "unsupported-media-type")

    async def pieces() -> AsyncIterator[bytes]:
        yield raw

    headers = {"Content-Type": media} if media else {}
    assert problem_of(await client.post("/v1/echo", content=pieces(), headers=headers)) == (415, "unsupported-media-type")


@pytest.mark.proves("G42")
async def test_a_body_ends_at_64_kib_whether_its_size_is_declared_or_not(client: httpx.AsyncClient) -> None:
    fits = json.dumps(GOOD).encode().ljust(JSON_BYTES_MAX)
    assert (await post(client, fits)).status_code == 200
    assert problem_of(await post(client, fits + b" ")) == (413, "body-too-large")
    taken = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    assert problem_of(await client.post("/v1/echo", content=without_end(), headers=headers)) == (413, "body-too-large")
    assert taken < 100


@pytest.mark.proves("G42")
async def test_a_route_may_state_a_larger_limit_and_ends_there(client: httpx.AsyncClient) -> None:
    assert (await client.put("/v1/workbook", content=b"x" * WORKBOOK_BYTES_MAX)).json() == {"bytes": WORKBOOK_BYTES_MAX}
    assert problem_of(await client.put("/v1/workbook", content=b"x" * (WORKBOOK_BYTES_MAX + 1))) == (413, "body-too-large")


@pytest.mark.proves("G42")
async def test_a_page_is_at_most_a_hundred_and_its_cursor_is_signed(client: httpx.AsyncClient) -> None:
    assert problem_of(await client.get("/v1/list?limit=101")) == (422, "validation-error")
    first = (await client.get("/v1/list?limit=100")).json()
    cursor = first["next"]
    assert (await client.get("/v1/list", params={"cursor": cursor})).json()["after"] == [100, "苹果"]
    for forged in ("", "x", "苹果", cursor[:-2] + "AA", cursor[2:], cursor * 2, "A" * 5000):
        answer = await client.get("/v1/list", params={"cursor": forged})
        assert problem_of(answer) == (422, "validation-error")
        assert answer.json()["errors"][0]["field"] == "query:cursor"


async def test_what_stands_in_a_query_or_a_header_is_named_with_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/list?limit=a", headers={"X-Tries": "b"})
    assert {e["field"] for e in answer.json()["errors"]} == {"query:limit", "header:x-tries"}


@pytest.mark.parametrize(
    ("wish", "language", "sentence"),
    [
        ("zh-CN", "zh-Hans", "只剩2个苹果。"),
        ("zh-HK,zh;q=0.8", "zh-Hant", "只剩2個蘋果。"),
        ("en-GB", "en", "Only 2 apples are left."),
        ("fr, de;q=0.9", "zh-Hans", "只剩2个苹果。"),
        (None, "zh-Hans", "只剩2个苹果。"),
    ],
)
async def test_a_refusal_is_said_in_the_callers_language(
    client: httpx.AsyncClient, wish: str | None, language: str, sentence: str
) -> None:
    answer = await client.get("/v1/fail/apples", headers={"Accept-Language": wish} if wish else {})
    assert problem_of(answer) == (409, "out-of-apples")
    assert (answer.json()["detail"], answer.headers["content-language"]) == (sentence, language)
    assert answer.json()["left"] == 2


async def test_an_absent_thing_answers_not_found(client: httpx.AsyncClient) -> None:
    assert problem_of(await client.get("/v1/fail/not-found")) == (404, "not-found")


@pytest.mark.parametrize("how", ["bug", "unmapped"])
async def test_a_fault_of_ours_says_nothing_of_its_inside(client: httpx.AsyncClient, how: str) -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])
    answer = await client.get(f"/v1/fail/{how}")
    structlog.reset_defaults()
    assert problem_of(answer) == (500, "internal-error")
    assert answer.json()["recoverable"] is True
    for word in (*SECRET.split(), "ValueError", "Unmapped", "Traceback"):
        assert word not in answer.text


async def test_every_common_error_has_its_sentence_in_three_languages_and_a_code_of_its_own() -> None:
    types = Catalogue({}).all_types()
    assert len({kind.code for kind in types}) == len(types)
    for kind in [*types, *CATALOGUE.own.values()]:
        assert set(kind.sentences) == set(LANGUAGES)
        assert all(kind.sentences.values())
        assert 400 <= kind.status < 600
    for sentences in FIELD_SENTENCES.values():
        assert set(sentences) == set(LANGUAGES)
    for error, kind in COMMON.items():
        assert issubclass(error, DomainError)
        assert error.__doc__
        assert kind.status < 500 or kind.recoverable


async def test_a_busy_answer_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert all(kind.retry_after_seconds for kind in COMMON.values() if kind.status == 503)


async def test_health_and_metrics_answer_without_a_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "live"}
    assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"database": True, "keys": True}}
    assert "huangou_tasks_total" in (await client.get("/metrics")).text


async def test_a_service_whose_database_is_gone_is_live_and_not_ready(issuer: Issuer) -> None:
    app = FastAPI()

    async def ready() -> dict[str, bool]:
        return {"database": False, "schema": True}

    app.router.routes.extend(health_router(ready).routes)
    async with client_of(app) as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")


@pytest.mark.proves("G40")
def test_a_route_without_a_policy_stops_the_start(issuer: Issuer) -> None:
    router = new_router()

    @router.get("/v1/open")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="/v1/open"):
        new_app(issuer, [router])


@pytest.mark.proves("G40")
async def test_a_route_added_after_the_application_was_built_stops_the_start_too(issuer: Issuer) -> None:
    async def endpoint(request: object) -> None: ...

    for late in (Route("/late", endpoint), Mount("/late", FastAPI())):
        app = new_app(issuer)
        app.router.routes.append(late)
        with pytest.raises(RuntimeError, match="/late"):
            async with app.router.lifespan_context(app):
                pass
    async with (app := new_app(issuer)).router.lifespan_context(app):
        pass


def test_a_route_that_reads_bodies_without_our_limit_stops_the_start(issuer: Issuer) -> None:
    router = APIRouter()

    @router.get("/v1/loose", dependencies=[allow_anyone()])
    async def loose() -> None: ...

    with pytest.raises(RuntimeError, match="/v1/loose"):
        new_app(issuer, [router])


@pytest.mark.proves("G42")
@pytest.mark.parametrize("raw", [b"-7.0e16", b"1.5", b"9007199254740993"])
def test_a_number_that_is_not_whole_is_no_body_either_even_where_every_field_may_be_absent(raw: bytes) -> None:
    class AllOptional(BaseModel):
        reason: str = "none"

    with pytest.raises(ValidationError):
        TypeAdapter(AllOptional | None).validate_python(loads(raw), from_attributes=True)  # as FastAPI reads bodies
