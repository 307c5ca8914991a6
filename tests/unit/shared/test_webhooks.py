"""Signed messages: every part of what is signed counts, any of two secrets fits, and only the present is believed."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from shared.app import new_router
from shared.identity import SignedPolicy, allow_signed, policy_of
from shared.strict_json import read_as
from shared.webhooks import SignatureInvalid, require_recent, sign, signed_at
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32
BODY = b'{"n": 1}'


def refused(secrets: list[bytes], headers: dict[str, str], body: bytes = BODY) -> bool:
    try:
        signed_at(secrets, headers, body)
    except SignatureInvalid:
        return True
    return False


@pytest.mark.proves("G34")
def test_the_signature_is_the_one_of_the_published_example() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed_at([secret], headers, b'{"test": 2432232314}') == at


@pytest.mark.proves("G34")
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", "e-2"),
        ("webhook-id", ""),
        ("webhook-timestamp", "1795341601"),
        ("webhook-timestamp", "1795341600.0"),
        ("webhook-timestamp", "-5"),
        ("webhook-timestamp", "١٢٣"),
        ("webhook-timestamp", ""),
        ("webhook-signature", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,%%%"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", "v1,AAAA"),
    ],
)
def test_each_part_that_is_changed_breaks_the_signature(header: str, value: str) -> None:
    headers = sign(NEW, "e-1", AT, BODY)
    assert not refused([NEW], headers)
    assert refused([NEW], {**headers, header: value})
    assert refused([NEW], {name: told for name, told in headers.items() if name != header})


@pytest.mark.proves("G34")
def test_the_body_counts_to_the_last_byte_and_so_does_the_version() -> None:
    headers = sign(NEW, "e-1", AT, BODY)
    assert refused([NEW], headers, BODY + b" ")
    assert refused([NEW], headers, b"")
    assert refused([OLD], headers)
    assert refused([], headers)
    assert refused([NEW], {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v1a,")})


def test_while_a_secret_changes_both_hold_on_either_side() -> None:
    by_old, by_new = sign(OLD, "e-1", AT, BODY), sign(NEW, "e-1", AT, BODY)
    assert not refused([NEW, OLD], by_old)
    assert not refused([NEW, OLD], by_new)
    both = {**by_old, "webhook-signature": f"v1a,xyz {by_old['webhook-signature']} {by_new['webhook-signature']}"}
    assert not refused([OLD], both)
    assert not refused([NEW], both)


def test_a_header_of_many_signatures_is_read_to_the_eighth() -> None:
    good = sign(NEW, "e-1", AT, BODY)
    many = {**good, "webhook-signature": " ".join(["v1,AAAA"] * 8 + [good["webhook-signature"]])}
    assert refused([NEW], many)


@pytest.mark.proves("G34", "G35")
@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_what_is_older_or_newer_than_five_minutes_is_refused(seconds: int) -> None:
    with pytest.raises(SignatureInvalid):
        require_recent(AT, AT + timedelta(seconds=seconds))
    require_recent(AT, AT + timedelta(seconds=300))
    require_recent(AT, AT - timedelta(seconds=300))


class Note(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")
    n: Annotated[int, Field(ge=1, strict=True)]


@pytest.fixture
def client(issuer: Issuer) -> httpx.AsyncClient:
    router = new_router()

    async def verify(request: Request) -> None:
        signed_at([NEW], request.headers, await request.body())

    @router.post("/v1/notes", dependencies=[allow_signed(verify, "writers of notes")])
    async def take(request: Request) -> Response:
        return Response(str((await read_as(request, Note)).n))

    app = new_app(issuer, [router])
    app.state.catalogue.own[SignatureInvalid] = app.state.catalogue.own[next(iter(app.state.catalogue.own))]
    return client_of(app)


async def post(client: httpx.AsyncClient, body: bytes, **given: Any) -> httpx.Response:
    headers = {**sign(NEW, "e-1", AT, body), "Content-Type": "application/json", **given}
    return await client.post("/v1/notes", content=body, headers=headers)


async def test_a_signed_body_is_read_as_strictly_as_any_other(client: httpx.AsyncClient) -> None:
    assert (await post(client, b'{"n": 7}')).text == "7"
    for body, status in {
        b'{"n": 7, "n": 8}': 400,
        b'{"n": "7"}': 422,
        b'{"n": 7.0}': 422,
        b'{"n": 0}': 422,
        b'{"n": 7, "m": 1}': 422,
        b"[]": 422,
        b"": 400,
        b"{": 400,
        b'{"n": 7, "x": "' + b"a" * 70_000 + b'"}': 413,
    }.items():
        answer = await post(client, body)
        assert answer.status_code == status, body[:40]
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await post(client, b'{"n": 7}', **{"Content-Type": "text/plain"})).status_code == 415


async def test_what_nobody_signed_is_not_even_read(client: httpx.AsyncClient) -> None:
    for body in (b'{"n": 7}', b"{", b"", b"[]"):
        answer = await client.post("/v1/notes", content=body, headers={"Content-Type": "text/plain"})
        assert answer.json()["type"].endswith("/out-of-apples"), "whatever problem the service gives a wrong signature"


def test_a_signed_route_declares_a_policy_that_admits_nobody_by_a_token() -> None:
    router = new_router()

    async def verify(request: Request) -> None:
        raise AssertionError

    @router.post("/v1/notes", dependencies=[allow_signed(verify, "writers of notes")])
    async def take(request: Request) -> Response:
        raise AssertionError

    [route] = router.routes
    policy = policy_of(route)  # type: ignore[arg-type]
    assert isinstance(policy, SignedPolicy)
    assert (policy.senders, policy.grants) == ("writers of notes", ())
