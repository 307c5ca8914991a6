"""Calls to a neighbour that misbehaves in every way a socket allows: what is known afterwards, and for how long we wait."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from shared import http_client as module
from shared.http_client import AccessToken, FixedKey, NotSent, OutcomeUnknown, Refused, ServiceClient, new_http_client

pytestmark = pytest.mark.anyio
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Neighbour:
    """A server on a real socket whose next answers are set by hand; it also hands out tokens."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.tokens = 0
        self.expires_in: object = 300
        self.answer: bytes | Serve = reply(200, {"fine": True})
        self.token_answer: bytes | None = None
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
            )
            body = await reader.readexactly(length)
            if head.startswith("POST /token"):
                self.tokens += 1
                await asyncio.sleep(0.01)
                known = {"access_token": f"t{self.tokens}", "expires_in": self.expires_in}
                writer.write(self.token_answer or reply(200, known))
            else:
                self.requests.append(head)
                self.bodies.append(body)
                if callable(self.answer):
                    await self.answer(reader, writer)
                else:
                    writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def reply(status: int, body: object, media: str = "application/json") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    return head.encode() + raw


@pytest.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    made = Neighbour()
    server = await asyncio.start_server(made, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client() as made:
        yield made


@pytest.fixture
def client(neighbour: Neighbour, http: httpx.AsyncClient) -> ServiceClient:
    return ServiceClient("catalog", neighbour.url, token_of(neighbour, http), http)


def token_of(neighbour: Neighbour, http: httpx.AsyncClient) -> AccessToken:
    return AccessToken(http, token_url=f"{neighbour.url}/token", client_id="redemption", client_secret="pw", scope="internal")


async def test_an_answer_is_an_answer(neighbour: Neighbour, client: ServiceClient) -> None:
    assert await client.put("/internal/v1/x", {"名": [1, None]}) == {"fine": True}
    assert await client.get("/internal/v1/y", after="é&b", limit=None) == {"fine": True}
    put, get = neighbour.requests
    assert put.startswith("PUT /internal/v1/x HTTP/1.1")
    assert json.loads(neighbour.bodies[0]) == {"名": [1, None]}
    assert "authorization: bearer t1" in put.lower()
    assert get.startswith("GET /internal/v1/y?after=%C3%A9%26b HTTP/1.1")
    assert neighbour.tokens == 1


async def test_nobody_listening_means_not_sent(neighbour: Neighbour, http: httpx.AsyncClient) -> None:
    nowhere = ServiceClient("catalog", "http://127.0.0.1:1", token_of(neighbour, http), http)
    with pytest.raises(NotSent):
        await nowhere.get("/x")


@pytest.mark.parametrize("status", [401, 429])
async def test_a_neighbour_that_says_it_did_nothing_did_nothing(
    neighbour: Neighbour, client: ServiceClient, status: int
) -> None:
    neighbour.answer = reply(status, {})
    with pytest.raises(NotSent):
        await client.put("/x", {})


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_after_any_other_error_of_theirs_nobody_knows(neighbour: Neighbour, client: ServiceClient, status: int) -> None:
    neighbour.answer = reply(status, b"<html>", "text/html")
    with pytest.raises(OutcomeUnknown):
        await client.put("/x", {})


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The connection ends before a word of an answer."""


async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"fine"')


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize(
    "answer", [hang_up, cut_short, babble, reply(200, b"<html>", "text/html"), reply(200, b"\xff\xfe"), reply(302, b"")]
)
async def test_an_answer_that_is_none_leaves_the_outcome_unknown(
    neighbour: Neighbour, client: ServiceClient, answer: bytes | Serve
) -> None:
    neighbour.answer = answer
    with pytest.raises(OutcomeUnknown):
        await client.put("/x", {})


@pytest.mark.proves("G33")
@pytest.mark.parametrize("how", ["silent", "trickle"])
async def test_a_call_ends_in_time_whether_silence_or_a_trickle_answers(
    neighbour: Neighbour, client: ServiceClient, how: str
) -> None:
    """With the real limit: five seconds."""

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" if how == "trickle" else b"")
        for _ in range(200):
            await asyncio.sleep(0.1)
            writer.write(b" " if how == "trickle" else b"")
            await writer.drain()

    neighbour.answer = dawdle
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await client.put("/x", {})
    assert 4.5 < time.monotonic() - started < 8


@pytest.mark.proves("G33")
async def test_a_neighbour_that_cannot_be_reached_is_given_up_after_a_second(
    neighbour: Neighbour, http: httpx.AsyncClient
) -> None:
    """A listener whose queue is full takes no more connections: the handshake hangs, as behind a firewall that drops."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    deaf = ServiceClient("catalog", f"http://127.0.0.1:{listener.getsockname()[1]}", token_of(neighbour, http), http)
    started = time.monotonic()
    with pytest.raises(NotSent):
        await deaf.get("/x")
    assert 0.8 < time.monotonic() - started < 3
    for each in (*fillers, listener):
        each.close()


async def test_an_answer_without_end_is_cut(
    neighbour: Neighbour, client: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1000)
    neighbour.answer = reply(200, {"x": "y" * 2000})
    with pytest.raises(OutcomeUnknown):
        await client.get("/x")
    neighbour.answer = reply(200, {"x": "y" * 900})
    assert len((await client.get("/x"))["x"]) == 900


@pytest.mark.parametrize(
    ("body", "problem"),
    [({"type": "https://huangou.example/problems/out-of-stock"}, "out-of-stock"), ([], ""), ({}, ""), (b"<html>", "")],
)
async def test_a_contract_that_we_broke_is_named(
    neighbour: Neighbour, client: ServiceClient, body: object, problem: str
) -> None:
    neighbour.answer = reply(422, body, "application/problem+json")
    with pytest.raises(Refused) as caught:
        await client.put("/x", {})
    assert (caught.value.status, caught.value.problem) == (422, problem)


async def test_a_redirect_is_not_followed(neighbour: Neighbour, client: ServiceClient) -> None:
    neighbour.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    with pytest.raises(OutcomeUnknown):
        await client.get("/x")
    assert len(neighbour.requests) == 1


async def test_five_failures_give_the_neighbour_a_rest_and_one_call_then_looks(
    neighbour: Neighbour, client: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_SECONDS", 0.6)
    neighbour.answer = reply(503, {})
    for _ in range(5):
        with pytest.raises(OutcomeUnknown):
            await client.get("/x")
    assert len(neighbour.requests) == 5
    for _ in range(10):
        with pytest.raises(NotSent):
            await client.get("/x")
    assert len(neighbour.requests) == 5
    await asyncio.sleep(0.65)
    with pytest.raises(OutcomeUnknown):
        await client.get("/x")
    for _ in range(2):
        with pytest.raises(NotSent):
            await client.get("/x")
    assert len(neighbour.requests) == 6
    await asyncio.sleep(0.65)
    neighbour.answer = reply(200, {})
    for _ in range(3):
        await client.get("/x")
    assert len(neighbour.requests) == 9


async def test_refusals_of_ours_do_not_give_the_neighbour_a_rest(neighbour: Neighbour, client: ServiceClient) -> None:
    neighbour.answer = reply(404, {})
    for _ in range(8):
        with pytest.raises(Refused):
            await client.get("/x")
    assert len(neighbour.requests) == 8


async def test_one_token_serves_fifty_callers(neighbour: Neighbour, client: ServiceClient) -> None:
    await asyncio.gather(*[client.get("/x") for _ in range(50)])
    assert neighbour.tokens == 1


async def test_a_token_is_renewed_before_it_ends_and_after_a_401(
    neighbour: Neighbour, client: ServiceClient, http: httpx.AsyncClient
) -> None:
    neighbour.expires_in = 2.0
    token = token_of(neighbour, http)
    assert await token.get() == await token.get() == "t1"
    await asyncio.sleep(1.1)
    assert await token.get() == "t2"
    neighbour.expires_in = 300
    neighbour.answer = reply(401, {})
    with pytest.raises(NotSent):
        await client.get("/x")
    neighbour.answer = reply(200, {})
    await client.get("/x")
    assert "bearer t4" in neighbour.requests[-1].lower()


async def test_while_the_identity_provider_is_down_a_token_serves_to_its_end(
    neighbour: Neighbour, http: httpx.AsyncClient
) -> None:
    neighbour.expires_in = 2.4
    token = token_of(neighbour, http)
    assert await token.get() == "t1"
    neighbour.token_answer = reply(500, {})
    await asyncio.sleep(1.4)
    assert await token.get() == "t1"
    await asyncio.sleep(1.1)
    with pytest.raises(NotSent):
        await token.get()


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html>"),
        reply(200, {}),
        reply(200, []),
        reply(400, {}),
        reply(200, {"access_token": "a", "expires_in": "soon"}),
    ],
)
async def test_an_identity_provider_that_talks_nonsense_means_not_sent(
    neighbour: Neighbour, client: ServiceClient, answer: bytes
) -> None:
    neighbour.token_answer = answer
    with pytest.raises(NotSent):
        await client.get("/x")
    assert neighbour.requests == []


async def test_an_identity_provider_that_fails_is_not_asked_by_everybody_in_turn(
    neighbour: Neighbour, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def down(*_: object, **__: object) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise httpx.ConnectTimeout("no answer")

    monkeypatch.setattr(http, "post", down)
    client = ServiceClient("catalog", neighbour.url, token_of(neighbour, http), http)
    outcomes = await asyncio.gather(*[client.get("/x") for _ in range(10)], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotSent] * 10
    assert asked == 1


async def test_a_neighbour_that_knows_us_by_a_key_is_shown_it_and_never_another(
    neighbour: Neighbour, http: httpx.AsyncClient
) -> None:
    client = ServiceClient("courier", neighbour.url, FixedKey("the-key"), http)
    assert await client.get("/x") == {"fine": True}
    neighbour.answer = reply(401, {})
    with pytest.raises(NotSent):
        await client.get("/x")
    neighbour.answer = reply(200, {"fine": True})
    assert await client.get("/x") == {"fine": True}
    assert ["authorization: bearer the-key" in request.lower() for request in neighbour.requests] == [True] * 3
    assert neighbour.tokens == 0
