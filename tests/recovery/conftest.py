"""The suite as processes, one for all tests of this folder: what they break mends itself, which is the point."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.recovery.load import Customers, outside
from tests.support.processes import APPS, Machine, running_machine
from tests.support.tokens import Issuer


@pytest.fixture(scope="session")
def machine(issuer: Issuer) -> Iterator[Machine]:
    with running_machine(issuer) as running:
        yield running


@pytest.fixture(scope="session")
async def campaign(machine: Machine, anyio_backend: str) -> None:
    await machine.ready(*APPS)
    async with outside(machine) as customers:
        await customers.open_campaign()
    machine.checkpoint()


@pytest.fixture(scope="module")
async def awake(machine: Machine, campaign: None) -> AsyncIterator[None]:
    """Between these modules its programs rest, or their polling would take half a core from all tests that follow."""
    machine.start()
    await machine.ready(*APPS)
    yield
    await machine.stop()


@pytest.fixture
async def customers(machine: Machine, awake: None) -> AsyncIterator[Customers]:
    async with machine.kept(), outside(machine) as customers:
        yield customers
