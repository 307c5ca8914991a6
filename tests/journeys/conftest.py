"""The whole suite once for all journeys: real processes as `huangou up` runs them, or containers."""

import os
from collections.abc import Iterator

import pytest

from deploy.local.suite import CHECKOUT
from tests.journeys.machines import Machine, containers, one_machine

SAMPLES, CAMPAIGN = CHECKOUT / "samples", "AUTUMN-2026"


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """On the usual ports where they are free; with HUANGOU_TEST_COMPOSE set, in containers."""
    with containers() if os.environ.get("HUANGOU_TEST_COMPOSE") else one_machine() as machine:
        yield machine


@pytest.fixture(scope="session")
def loaded(machine: Machine) -> Machine:
    """The sample campaign in force, with its customers and their points."""
    done = machine.huangou("import", str(SAMPLES / "autumn-campaign.xlsx"), "--publish")
    assert done.returncode == 0, done.stderr
    assert f"{CAMPAIGN} version 1 is in force." in done.stdout
    for kind in ("customers", "opening-balances", "earned-points"):
        done = machine.huangou("feed", kind, str(SAMPLES / f"{kind}.csv"))
        assert done.returncode == 0, done.stderr
    return machine
