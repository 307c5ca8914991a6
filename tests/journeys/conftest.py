"""The whole suite as `huangou up` runs it: real processes under the supervisor, on the usual ports where they are free."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.demo.run import free_ports
from deploy.local.failure import CannotStart
from deploy.local.folders import POINTER
from deploy.local.installation import load_installation
from deploy.local.processes import is_alive
from deploy.local.suite import CHECKOUT, Ports, Suite
from deploy.local.supervisor import listen

START_SECONDS_MAX = 180
SAMPLES, CAMPAIGN = CHECKOUT / "samples", "AUTUMN-2026"


@dataclass
class Machine:
    """The running suite, and the command line beside it."""

    suite: Suite

    @property
    def environment(self) -> dict[str, str]:
        """What tells the command line which suite is meant."""
        ours = {"HUANGOU_STATE": str(self.suite.state), "HUANGOU_PORT_BASE": str(self.suite.ports.base), "COLUMNS": "150"}
        return {**os.environ, **ours}

    def huangou(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        line = [sys.executable, "-m", "deploy.local.cli", *arguments]
        return subprocess.run(
            line, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )


def usual_ports() -> Ports:
    """Those that the README names, or others where they are taken."""
    ports = Ports()
    try:
        for port in ports.all():
            listen(port, "a test").close()
    except CannotStart:
        return free_ports()
    return ports


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Started once; at the end told to stop, and then no process of it is left."""
    state = Path(tempfile.mkdtemp(prefix="huangou-journeys-"))
    machine = Machine(Suite(state, usual_ports(), load_installation(state)))
    line = [sys.executable, "-u", "-m", "deploy.local.cli", "up"]
    process = subprocess.Popen(line, cwd=CHECKOUT, env=machine.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    watchdog = threading.Timer(START_SECONDS_MAX, process.kill)
    watchdog.start()
    said = []
    for text in process.stdout:
        said.append(text)
        if "everything is ready" in text:
            break
    watchdog.cancel()
    try:
        assert process.poll() is None, "".join(said)
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        children = [int(file.read_text().split('"pid": ')[1].split(",")[0]) for file in (state / "run").glob("*.json")]
        assert len(children) == 10  # PostgreSQL, the sandbox's three, three services and their workers
        yield machine
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        drain.join(10)
        assert not any(map(is_alive, children))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        pointer = state / POINTER
        if pointer.exists():
            shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


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
