"""What an application counts of its requests, and what nobody can make grow by what they send (G53)."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.identity import TokenVerifier
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(new_app(issuer)) as made:
        yield made


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def requests(method: str, route: str, status: int) -> float:
    return counted("huangou_http_requests_total", method=method, route=route, status=str(status))


@pytest.mark.proves("G53")
async def test_requests_are_counted_by_template_method_and_status(client: httpx.AsyncClient) -> None:
    route = "/v1/fail/{how}"
    before = requests("GET", route, 404), requests("GET", route, 409), requests("GET", route, 500)
    timed = counted("huangou_http_request_seconds_count", method="GET", route=route)
    for how in ("not-found", "apples", "bug", "unmapped"):
        await client.get(f"/v1/fail/{how}")
    after = requests("GET", route, 404), requests("GET", route, 409), requests("GET", route, 500)
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 2]
    assert counted("huangou_http_request_seconds_count", method="GET", route=route) == timed + 4


@pytest.mark.proves("G53")
async def test_refusals_are_counted_by_their_problem(client: httpx.AsyncClient) -> None:
    labels = {"problem": "out-of-apples", "route": "/v1/fail/{how}"}
    before = counted("huangou_refusals_total", **labels)
    await client.get("/v1/fail/apples")
    assert counted("huangou_refusals_total", **labels) == before + 1


@pytest.mark.proves("G53", "G48")
async def test_no_address_and_no_strange_method_becomes_a_label(client: httpx.AsyncClient) -> None:
    marks = [uuid.uuid4().hex for _ in range(3)]
    await client.get(f"/v1/fail/{marks[0]}")
    await client.get(f"/nowhere/{marks[1]}")
    await client.request(marks[2].upper(), "/v1/list")
    text = (await client.get("/metrics")).text.lower()
    assert not [mark for mark in marks if mark in text]
    assert requests("GET", "none", 404) >= 1
    assert requests("other", "/v1/list", 405) >= 1


class NoKeys:
    """An issuer that does not answer."""

    async def fetch(self) -> dict[str, Any]:
        raise httpx.ConnectError("nobody listens")


@pytest.mark.proves("G53")
async def test_a_service_without_keys_is_not_ready_and_says_so(issuer: Issuer) -> None:
    async with client_of(new_app(NoKeys())) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["keys"]) == (503, False)
        assert (await client.get("/livez")).status_code == 200
        assert counted("huangou_identity_keys") == 0
    async with client_of(new_app(issuer)) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert counted("huangou_identity_keys") == 1


async def test_keys_that_are_too_old_count_as_none(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenVerifier(issuer, issuer=ISSUER, audience=AUDIENCE)
    assert await tokens.has_keys()
    monkeypatch.setattr("shared.identity.tokens.KEYS_USABLE_SECONDS", -1.0)
    assert counted("huangou_identity_keys") == 0
