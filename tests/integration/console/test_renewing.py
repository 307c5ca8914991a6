"""Prolonging a session whose tokens several requests or several consoles hold: nobody is signed out by another's luck."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from services.console.app import build
from shared.app import STOPPING
from tests.support.console import CONSOLE, Desk, settings
from tests.support.console_answers import CUSTOMER

pytestmark = pytest.mark.anyio

PAGE = f"/customers/{CUSTOMER}"


@contextlib.asynccontextmanager
async def next_console(at: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Another console on the same street, and the same browser's way to it: with the cookies that it has now."""
    app = build(settings(), clock=lambda: at.clock[0], transport=at.street)
    cookies = dict(at.browser.console.cookies)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=CONSOLE, cookies=cookies) as client:
        yield client


@pytest.fixture
def stopping() -> object:
    STOPPING.set()
    yield
    STOPPING.clear()


@pytest.mark.proves("G36")
async def test_of_two_consoles_that_spend_one_refresh_token_neither_signs_the_agent_out(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    async with next_console(at) as other:
        at.wait(260)
        won = await at.browser.console.get("/")
        assert won.headers["set-cookie"].startswith("huangou=")
        for _ in range(2):
            lost = await other.get("/")
            assert lost.status_code == 200
            assert "set-cookie" not in lost.headers  # neither cleared nor written over
        assert len(at.street.asked("POST", "/token")) == 3  # a token that is known to be spent is not shown again
        at.wait(45)
        assert (await at.browser.console.get("/")).status_code == 200
        assert (await other.get("/")).status_code == 303  # its token is over, and it has no other


@pytest.mark.proves("G36")
async def test_a_console_that_is_stopping_leaves_renewing_to_the_one_that_follows(at: Desk, stopping: object) -> None:
    await at.browser.sign_in("agent-1")
    at.wait(260)
    answer = await at.browser.console.get("/")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert len(at.street.asked("POST", "/token")) == 1
    at.wait(45)  # nothing to lose: without a new one the agent would stand before the door
    assert (await at.browser.console.get("/")).status_code == 200
    assert len(at.street.asked("POST", "/token")) == 2


async def test_a_page_that_answers_late_does_not_write_older_tokens_over_newer_ones(at: Desk) -> None:
    await at.browser.sign_in("agent-1")
    at.wait(250)
    at.street.late["redemption"] = asyncio.Event()
    late = asyncio.create_task(at.browser.console.get(PAGE))
    await at.street.reached("GET", f"/v1{PAGE}")
    at.wait(10)
    assert "set-cookie" in (await at.browser.console.get("/")).headers
    at.street.late["redemption"].set()
    assert "set-cookie" not in (await late).headers
