"""A console with made-up services behind it."""

import time
from collections.abc import AsyncIterator

import pytest

from tests.support.console import Desk, desk


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    """The desk; its clock stands at the time of this machine, since the provider's tokens do."""
    async with desk(time.time()) as made:
        yield made
