"""JSON as strictly as money deserves: no key twice, no NUL, no depth without end, no number that a float would bend (G42).

A body is read by the route, so here it is measured too: 64 KiB, or what the route states with `max_body_size`. And nobody's
body is read before their token was: FastAPI would read and parse it first, and refuse the caller afterwards.
"""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from shared.identity.policy import policy_of
from shared.problems import UnsupportedMediaType

T = TypeVar("T", bound=BaseModel)

DEPTH_MAX = 16
INTEGER_MAX = 2**53
JSON_BYTES_MAX = 64 * 1024


NOT_WHOLE = 1j
"""Stands for a number that no field of ours takes (a fraction, an exponent, beyond 2^53): refused where it stands, by its name.

An imaginary number, since no field takes one either. An object of a class of our own would be read by its attributes where a
body is expected, and a body whose fields may all be absent would then be found in it.
"""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise json.JSONDecodeError(f"the key {name[:40]!r} appears twice", "", 0)
        found[name] = value
    return found


def _integer(digits: str) -> int | complex:
    return NOT_WHOLE if len(digits) > 17 or abs(int(digits)) > INTEGER_MAX else int(digits)


def _no_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


def loads(raw: bytes) -> Any:
    """Read JSON. Raises json.JSONDecodeError for anything doubtful."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise json.JSONDecodeError("not UTF-8", "", 0) from None
    if "\x00" in text or "\\u0000" in text:
        raise json.JSONDecodeError("the NUL character is not allowed", "", 0)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=lambda _: NOT_WHOLE,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    _measure(value, DEPTH_MAX)
    return value


def _measure(value: Any, left: int) -> None:
    if left == 0 and isinstance(value, dict | list):
        raise json.JSONDecodeError(f"nested deeper than {DEPTH_MAX}", "", 0)
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise json.JSONDecodeError("half of a surrogate pair", "", 0) from None
    elif isinstance(value, dict):
        for name, child in value.items():
            _measure(name, left)
            _measure(child, left - 1)
    elif isinstance(value, list):
        for child in value:
            _measure(child, left - 1)


class StrictRequest(Request):
    """A request whose JSON is read strictly, and whose body ends at the route's limit."""

    body_bytes_max = JSON_BYTES_MAX

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces. Raises HTTPException 413 before reading what is declared too large, or once it is."""
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self.body_bytes_max:
            raise HTTPException(413)
        read = 0
        async for piece in super().stream():
            read += len(piece)
            if read > self.body_bytes_max:
                raise HTTPException(413)
            yield piece

    async def json(self) -> Any:
        """The body."""
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


async def read_as(request: Request, kind: type[T]) -> T:
    """The body as that model, for a route that must look at the raw bytes before it believes them.

    Raises UnsupportedMediaType, or RequestValidationError as it would be for a body that the route declares.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    try:
        return kind.model_validate(await request.json())
    except json.JSONDecodeError as error:
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": error.msg}]) from error
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from error


class StrictRoute(APIRoute):
    """The route class of every router here. `max_body_size` of a route (bytes) stands above the common limit.

    FastAPI's own limiter would answer plain text, so the route keeps the number and does not pass it on.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], *, max_body_size: int | None = None, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.body_bytes_max = JSON_BYTES_MAX if max_body_size is None else max_body_size

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the strict request of an admitted caller to the handler that FastAPI builds."""
        handle = super().get_route_handler()
        policy = policy_of(self)

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            strict.body_bytes_max = self.body_bytes_max
            if policy is not None:
                await policy.admit(strict)
            return await handle(strict)

        return handle_strictly
