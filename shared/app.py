"""How every service becomes an application: the same errors, limits, health answers and checks at the start."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from shared.answers import problem_answer, refusal_answer
from shared.database import DatabaseUnavailable, Overloaded, is_down, is_retryable
from shared.documents import name_operation
from shared.errors import DomainError, FieldError
from shared.hot_routes import HotApp
from shared.identity import TokenVerifier, allow_anyone, refuse_routes_without_policy
from shared.identity.policy import api_routes
from shared.measuring import count_from_zero
from shared.metrics import OVERLOADED
from shared.problems import INTERNAL, MALFORMED, MEDIA, METHOD_NOT_ALLOWED, NOT_FOUND, TOO_LARGE, VALIDATION, Catalogue
from shared.strict_json import JSON_BYTES_MAX, StrictRoute
from shared.telemetry import TELEMETRY

__all__ = ["JSON_BYTES_MAX", "Ready", "build_app", "health_router", "new_router"]

HTTP_PROBLEMS = {
    400: MALFORMED,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: TOO_LARGE,
}
FIELD_CODES = {
    "missing": "missing",
    "extra_forbidden": "unknown",
    "string_too_short": "too-small",
    "too_short": "too-small",
    "greater_than": "too-small",
    "greater_than_equal": "too-small",
    "string_too_long": "too-large",
    "too_long": "too-large",
    "less_than": "too-large",
    "less_than_equal": "too-large",
    "string_pattern_mismatch": "not-allowed",
    "literal_error": "not-allowed",
    "enum": "not-allowed",
    "value_error": "not-allowed",
}

log = structlog.get_logger()

Ready = Callable[[], Awaitable[dict[str, bool]]]
STOPPING = threading.Event()
"""Set once this process has been told to stop: from then on it is not ready, whatever its parts say (G36)."""


def new_router() -> APIRouter:
    """A router whose routes read JSON strictly, up to 64 KiB. Routes carry their whole path.

    A route that takes more says so: `@router.put("/v1/…", max_body_size=10 * 1024 * 1024)`.
    """
    return APIRouter(route_class=StrictRoute, generate_unique_id_function=name_operation)


def build_app(
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    catalogue: Catalogue,
    tokens: TokenVerifier,
    ready: Ready,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """A service's application. Raises RuntimeError when a route declares no policy or has no limit on its body."""

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        refuse_routes_without_policy(app)
        async with lifespan(app):
            yield

    app = HotApp(
        title=title,
        description=description,
        version="1",
        lifespan=live,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=TELEMETRY,  # type: ignore[arg-type]
    )
    app.state.tokens = tokens
    app.state.catalogue = catalogue
    for router in routers:
        _refuse_routes_without_limit(router)
    for router in [*routers, health_router(_with_keys(ready, tokens))]:
        app.router.routes.extend(router.routes)
    refuse_routes_without_policy(app)
    count_from_zero(app)
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)
    return app


def _refuse_routes_without_limit(router: APIRouter) -> None:
    loose = [getattr(route, "path", repr(route)) for route in router.routes if not isinstance(route, StrictRoute)]
    if loose:
        raise RuntimeError(f"these routes do not come from new_router(): {', '.join(loose)}")


def _with_keys(ready: Ready, tokens: TokenVerifier) -> Ready:
    """Who cannot check a token cannot serve."""

    async def checks() -> dict[str, bool]:
        return {**await ready(), "keys": await tokens.has_keys()}

    return checks


def health_router(ready: Ready) -> APIRouter:
    """Health and metrics, open to whoever can reach the port. `/livez` never touches the database (G53)."""
    router = APIRouter()

    @router.get("/livez", dependencies=[allow_anyone()], include_in_schema=False)
    async def livez() -> Response:
        return Response(b'{"status":"live"}', media_type="application/json")

    @router.get("/readyz", dependencies=[allow_anyone()], include_in_schema=False)
    async def readyz() -> Response:
        checks = {**await ready(), **({"stopping": False} if STOPPING.is_set() else {})}
        fine = all(checks.values())
        lines = ",".join(f'"{name}":{str(value).lower()}' for name, value in checks.items())
        body = f'{{"status":"{"ready" if fine else "not ready"}","checks":{{{lines}}}}}'
        return Response(body, status_code=200 if fine else 503, media_type="application/json")

    @router.get("/metrics", dependencies=[allow_anyone()], include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return refusal_answer(request, error) or await _unexpected_error(request, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    here = _methods_here(request)
    if request.method not in here:  # a word of another method's was taken for an id
        return problem_answer(request, METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(here)})
    found = error.errors()
    not_json = any(e["type"] == "json_invalid" for e in found)
    body_expected = [e for e in found if e["loc"] == ("body",)]
    if body_expected and not not_json and _has_body(request) and not _is_json(request):
        return problem_answer(request, MEDIA)
    if not_json:
        return problem_answer(request, MALFORMED, wrong=[FieldError("", "not-json")])
    wrong = [FieldError(_field_name(e["loc"]), FIELD_CODES.get(e["type"], "wrong-type")) for e in found[:50]]
    return problem_answer(request, VALIDATION, wrong=wrong)


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _is_json(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _field_name(where: Sequence[Any]) -> str:
    """`("body", "lines", 0, "quantity")` is `lines[0].quantity`; headers and queries are named with where they stand."""
    parts = list(where)
    prefix = "" if parts[:1] == ["body"] else f"{parts[0]}:" if parts else ""
    name = ""
    for part in parts[1:]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return prefix + name


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"Allow": ", ".join(_methods_here(request))} if error.status_code == 405 else {}
    return problem_answer(request, HTTP_PROBLEMS.get(error.status_code, INTERNAL), headers=headers)


def _methods_here(request: Request) -> list[str]:
    """What this address takes, over all routes that share it: the router knows only the one that it met first."""
    path = request.scope["path"]
    here = [route for route in api_routes(request.app) if route.path_regex.match(path)]
    word = [route for route in here if route.path == path]  # a word of ours is nobody's id
    return sorted({method for route in word or here for method in route.methods or ()})


async def _unexpected_error(request: Request, error: Exception) -> Response:
    if is_down(error):
        return await _domain_error(request, DatabaseUnavailable())
    if is_retryable(error):  # the retries are used up: too many want the same rows
        OVERLOADED.labels("locks").inc()
        return await _domain_error(request, Overloaded())
    log.error(
        "request_failed",
        path=request.url.path,
        error=type(error).__name__,
        exc_info=error,
    )
    return problem_answer(request, INTERNAL)
