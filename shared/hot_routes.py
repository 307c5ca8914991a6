"""Routes that are asked most: the same function, models and policy, reached without the layers that only other routes need.

A route is marked with `@hot` below its decorator. It stays a route like any other: it is documented, has a policy, and is
tested by the same generated tests; only the way from the server to its function is shorter. FastAPI's own way would be the
largest part of what such a request costs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, Response
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from opentelemetry import trace
from pydantic_core import PydanticUndefined
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.identity.policy import Policy, SignedPolicy, api_routes
from shared.measuring import MeasuredApp
from shared.strict_json import StrictRequest, StrictRoute

MARK = "__is_hot__"
QUESTIONS_REMEMBERED_MAX = 1024

F = TypeVar("F", bound=Callable[..., Any])


def hot(endpoint: F) -> F:
    """Mark a route's function. It answers with a Response, and takes its request, its caller, a body, paths and queries."""
    setattr(endpoint, MARK, True)
    return endpoint


class HotRoute:
    """The short way to one route."""

    def __init__(self, app: FastAPI, route: StrictRoute) -> None:
        """Raises RuntimeError when the route takes what the short way does not know."""
        dependant = route.dependant
        policies = [
            child
            for child in dependant.dependencies
            if isinstance(child.call, Policy) and not isinstance(child.call, SignedPolicy)  # that one reads the body by itself
        ]
        unknown = [*dependant.header_params, *dependant.cookie_params, dependant.response_param_name]
        if len(policies) != 1 or len(dependant.dependencies) != 1 or any(unknown) or dependant.background_tasks_param_name:
            raise RuntimeError(f"{route.path} takes more than a hot route may")
        self.route = route
        self._app = app
        self._policy: Policy = policies[0].call  # type: ignore[assignment]
        self._who = policies[0].name
        self._dependant = dependant
        self._embeds = route._embed_body_fields
        self._remembers = "GET" in (route.methods or ())
        self._questions: dict[tuple[str, bytes], dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever is raised becomes the answer that it becomes elsewhere."""
        scope["app"], scope["route"], scope["endpoint"] = self._app, self.route, self.route.endpoint
        span = trace.get_current_span()
        if span.is_recording():
            span.update_name(f"{scope['method']} {self.route.path}")
        request = StrictRequest(scope, receive)
        request.body_bytes_max = self.route.body_bytes_max
        response: Response
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - each kind has its handler, the last one is for all
            response = await self._handler_of(error)(request, error)
        await response(scope, receive, send)

    async def _answer(self, request: StrictRequest) -> Response:
        who = await self._policy.admit(request)  # before a byte of the body is read
        body = await _body_of(request) if self._dependant.body_params else None
        asked, wrong = self._asked(request)
        values = dict(asked)
        if self._dependant.body_params:
            found, wrong_too = await request_body_to_args(self._dependant.body_params, body, self._embeds)
            values.update(found)
            wrong = [*wrong, *wrong_too]
        if wrong:
            raise RequestValidationError(wrong, body=body)
        if self._who is not None:
            values[self._who] = who
        if self._dependant.request_param_name is not None:
            values[self._dependant.request_param_name] = request
        response: Response = await self.route.endpoint(**values)
        return response

    def _asked(self, request: StrictRequest) -> tuple[Mapping[str, Any], Sequence[Any]]:
        """What path and query say, and what is wrong with it; what was asked before is not read again."""
        dependant = self._dependant
        if not dependant.path_params and not dependant.query_params:
            return {}, ()
        question = (request.scope["path"], request.scope["query_string"])
        known = self._questions.get(question) if self._remembers else None
        if known is not None:
            return known, ()
        in_path, wrong = request_params_to_args(dependant.path_params, request.path_params)
        in_query, wrong_too = request_params_to_args(dependant.query_params, request.query_params)
        asked = {**in_path, **in_query}
        if wrong or wrong_too:
            return asked, [*wrong, *wrong_too]
        if self._remembers:
            if len(self._questions) >= QUESTIONS_REMEMBERED_MAX:
                self._questions.clear()
            self._questions[question] = asked
        return asked, ()

    def _handler_of(self, error: Exception) -> Callable[..., Any]:
        handlers = self._app.exception_handlers
        return next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)


class HotRoutes:
    """The hot routes of one application, in front of all that takes the other requests."""

    def __init__(self, app: FastAPI, others: ASGIApp) -> None:
        self._elsewhere = others
        self._fixed: dict[tuple[str, str], HotRoute] = {}
        self._others: dict[str, list[HotRoute]] = {}
        for route in api_routes(app):
            if isinstance(route, StrictRoute) and hasattr(route.endpoint, MARK):
                self._add(HotRoute(app, route), route)

    def _add(self, hot_route: HotRoute, route: APIRoute) -> None:
        for method in route.methods or ():
            if route.param_convertors:
                self._others.setdefault(method, []).append(hot_route)
            else:
                self._fixed[method, route.path] = hot_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the short way where there is one."""
        route = self._find(scope) if scope["type"] == "http" else None
        await (self._elsewhere if route is None else route)(scope, receive, send)

    def _find(self, scope: Scope) -> HotRoute | None:
        """The hot route that takes this request, if one does; what its path says is then in the scope."""
        method, path = scope["method"], scope["path"]
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            scope["path_params"] = {}
            return fixed
        for candidate in self._others.get(method, ()):
            found = candidate.route.path_regex.match(path)
            if found:
                convertors = candidate.route.param_convertors
                scope["path_params"] = {name: convertors[name].convert(value) for name, value in found.groupdict().items()}
                return candidate
        return None


class HotApp(MeasuredApp):
    """An application whose hot routes are reached first."""

    def build_middleware_stack(self) -> ASGIApp:
        """What Starlette sends every request through."""
        return HotRoutes(self, super().build_middleware_stack())


async def _body_of(request: StrictRequest) -> Any:
    """The body as FastAPI reads it: JSON where the sender says so, bytes elsewhere."""
    raw = await request.body()
    if not raw:
        return PydanticUndefined
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        return raw
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        wrong = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([wrong], body=error.doc) from error
