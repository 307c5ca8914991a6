"""Counts every request of an application by its route's template: how many, how they ended, how long they took.

The address itself stands in no label: it may hold ids. What no route takes is counted under `none`, and methods that HTTP does
not know under `other`, so that nobody can make series grow by what they send.
"""

from time import perf_counter
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.types import Message, Receive, Scope, Send

from shared.documents import DocumentedApp
from shared.identity.policy import api_routes
from shared.metrics import REQUEST_SECONDS, REQUESTS
from shared.telemetry import carry_trace, drop_trace

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
ERRORS = ("500", "503")

_series: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
"""The series of what was seen before: finding one by its labels costs more than counting."""


class MeasuredApp(DocumentedApp):
    """An application that counts what it answers, each request in a trace."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Around everything else, so that an error that nobody caught counts as what the caller saw of it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        began = perf_counter()
        status = 500
        trace = carry_trace(scope)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await super().__call__(scope, receive, noting)
        finally:
            drop_trace(trace)
            seconds, requests = _series_of(scope, status)
            seconds.observe(perf_counter() - began)
            requests.inc()


def count_from_zero(app: DocumentedApp) -> None:
    """Let the series of errors be there before the first one: a rate misses what happened before a series began."""
    for route in api_routes(app):
        for method in route.methods or ():
            for status in ERRORS:
                REQUESTS.labels(method, route.path, status)


def template_of(scope: Any) -> str:
    """The template of the route that took a request, such as `/v1/redemptions/{redemption_id}`."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def _series_of(scope: Scope, status: int) -> tuple[Histogram, Counter]:
    key = (scope["method"], template_of(scope), status)
    known = _series.get(key)
    if known is None:
        method = key[0] if key[0] in METHODS else "other"
        known = REQUEST_SECONDS.labels(method, key[1]), REQUESTS.labels(method, key[1], str(status))
        if method != "other":
            _series[key] = known
    return known
