"""How the sandbox's outside systems are entered: by a key, with a small JSON body, answering with problems."""

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

BODY_BYTES_MAX = 64 * 1024
PROBLEMS = "https://sandbox.example/problems/"

T = TypeVar("T", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


class Body(BaseModel):
    """A body in which a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Refusal(Exception):
    """An answer of 400 and above; the message is the problem's code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def locked(key: str, endpoint: Endpoint) -> Endpoint:
    """The endpoint for those alone who show this key as their bearer."""

    async def opened(request: Request) -> Response:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), key.encode()):
            raise Refusal(401, "key-unknown")
        return await endpoint(request)

    return opened


async def read(request: Request, kind: type[T]) -> T:
    """The body as that model. Raises Refusal."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(413, "body-too-large")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(422, "validation-error") from error


async def refuse(_request: Request, error: Exception) -> Response:
    """The answer to a Refusal (RFC 9457)."""
    refusal = error if isinstance(error, Refusal) else Refusal(500, "internal-error")
    body = {"type": PROBLEMS + refusal.code, "title": refusal.code, "status": refusal.status}
    return JSONResponse(body, refusal.status, media_type="application/problem+json")


async def livez(_request: Request) -> Response:
    """Alive."""
    return JSONResponse({"status": "alive"})
