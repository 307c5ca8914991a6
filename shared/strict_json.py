"""JSON as strictly as money deserves: no key twice, no NUL, no depth without end, no number that a float would bend (G42)."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

DEPTH_MAX = 16
INTEGER_MAX = 2**53


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise json.JSONDecodeError(f"the key {name[:40]!r} appears twice", "", 0)
        found[name] = value
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > INTEGER_MAX:
        raise json.JSONDecodeError("a number is larger than 2^53", "", 0)
    return int(digits)


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
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    _measure(value, DEPTH_MAX)
    return value


def _measure(value: Any, left: int) -> None:
    if left == 0:
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
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """The body."""
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """The route class of every router here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the strict request to the handler that FastAPI builds."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly
