"""One HTTP client serves everybody in a process, so it remembers nothing of anybody between two calls (X3)."""

import httpx
import pytest

from services.console.neighbours.calls import new_client
from shared.http_client import new_http_client

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("made_by", [new_http_client, new_client])
async def test_no_cookie_of_an_answer_goes_with_another_call(made_by: type[httpx.AsyncClient]) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=of-the-first; Path=/"})

    async with made_by(httpx.MockTransport(answer)) as client:
        for _ in range(2):
            await client.get("http://identity.test/token")
        assert not client.cookies
    assert seen == [None, None]
