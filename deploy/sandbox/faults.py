"""Faults that the sandbox's outside systems show when told to, each one that a real one has shown to somebody."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.doors import BODY_BYTES_MAX, Body, read, refuse
from deploy.sandbox.doors import Refusal as Refused

Mode = Literal["none", "slow", "fail", "lose_answer", "answer_twice"]
Webhooks = Literal["none", "doubled", "late", "shuffled", "lost"]
FAULTY_BELOW = "/v1/"


class AnswerLost(Exception):
    """The request was carried out, and its answer ends halfway."""


class FaultsBody(Body):
    """What to change; what is not named stays."""

    mode: Mode | None = None
    seconds: Annotated[float, Field(ge=0, le=60)] | None = None
    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    webhooks: Webhooks | None = None


@dataclass
class Faults:
    """Which faults are on."""

    mode: Mode = "none"
    """slow: answers after `seconds`; fail: answers 503 and does nothing; lose_answer: does it, and the answer breaks off;
    answer_twice: takes the request for two, as when something on the way repeats it."""
    seconds: float = 1.0
    """How long slow answers and late webhooks take."""
    times: int | None = None
    """How many requests are still to meet the fault; None: all of them."""
    webhooks: Webhooks = "none"
    """doubled, late (by `seconds`), shuffled (each by a random part of `seconds`), or lost."""

    def next(self) -> Mode:
        """The fault that this request meets."""
        mode = self.mode
        if self.times is not None and mode != "none":
            self.times -= 1
            if self.times <= 0:
                self.mode, self.times = "none", None
        return mode

    async def show(self, _request: Request) -> Response:
        """GET /sandbox/faults."""
        return JSONResponse(asdict(self))

    async def change(self, request: Request) -> Response:
        """PUT /sandbox/faults."""
        asked = await read(request, FaultsBody)
        if asked.mode is not None:
            self.mode, self.times = asked.mode, asked.times
        if asked.seconds is not None:
            self.seconds = asked.seconds
        if asked.webhooks is not None:
            self.webhooks = asked.webhooks
        return JSONResponse(asdict(self))


class Faulty:
    """Middleware that lets requests below /v1/ meet the fault that is on."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        mode = self._faults.next() if scope["type"] == "http" and scope["path"].startswith(FAULTY_BELOW) else "none"
        if mode == "fail":
            answer = await refuse(Request(scope), Refused(503, "unavailable"))
            await answer(scope, receive, send)
        elif mode == "lose_answer":
            await self._app(scope, receive, _nowhere)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            raise AnswerLost
        elif mode == "answer_twice":
            body = await _whole(receive)
            await self._app(scope, _again(body), _nowhere)
            await self._app(scope, _again(body), send)
        else:
            await asyncio.sleep(self._faults.seconds if mode == "slow" else 0)
            await self._app(scope, receive, send)


async def _nowhere(_message: Message) -> None:
    """An answer that nobody gets."""


async def _whole(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= BODY_BYTES_MAX:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes) -> Receive:
    """The request's body once more."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
