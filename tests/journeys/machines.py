"""Where journeys are played: the suite as `huangou up` runs it, or the same suite in containers."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.demo.run import free_ports
from deploy.local.failure import CannotStart
from deploy.local.folders import POINTER
from deploy.local.installation import FILE, load_installation
from deploy.local.processes import is_alive
from deploy.local.suite import CHECKOUT, Ports, Suite
from deploy.local.supervisor import listen
from deploy.postgres.provision import SERVICES

START_SECONDS_MAX = 180
COMPOSE_SECONDS_MAX = 900
PROJECT = "huangou-test"
PACE = {"HUANGOU_PREPARING_SECONDS": "12", "HUANGOU_COURIER_PACE_SECONDS": "1"}
"""Goods leave soon enough to wait for, and late enough to cancel before; the courier brings them within seconds."""


@dataclass
class Machine:
    """The running suite, and the command line beside it."""

    suite: Suite

    @property
    def environment(self) -> dict[str, str]:
        """What tells the command line which suite is meant."""
        ours = {"HUANGOU_STATE": str(self.suite.state), "HUANGOU_PORT_BASE": str(self.suite.ports.base), "COLUMNS": "150"}
        return {**PACE, **os.environ, **ours}

    @property
    def has_database_at_hand(self) -> bool:
        """Whether a test may reach into the databases, to do damage behind the services' backs."""
        return True

    def huangou(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        line = [sys.executable, "-m", "deploy.local.cli", *arguments]
        return subprocess.run(
            line, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False, timeout=seconds
        )

    def restart(self) -> Sequence[str]:
        """Restart everything but the database, one after the other; what was restarted."""
        done = self.huangou("restart", seconds=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return [line.removesuffix(" has been restarted.") for line in done.stdout.splitlines()]


@dataclass
class Containers(Machine):
    """The suite in containers: two of each API behind the proxy."""

    @property
    def has_database_at_hand(self) -> bool:
        """The containers' database is on a network of its own."""
        return False

    def restart(self) -> Sequence[str]:
        """Restart each container of ours, one after the other, each when the one before is well again."""
        names = [f"{PROJECT}_{service}_{number}" for service in SERVICES for number in (1, 2)]
        names += [f"{PROJECT}_{service}-worker_1" for service in SERVICES]
        for name in names:
            _run("docker", "restart", "--time", "25", name)
            _wait_until_healthy(name)
        return names


def usual_ports() -> Ports:
    """Those that the README names, or others where they are taken."""
    ports = Ports()
    try:
        for port in ports.all():
            listen(port, "a test").close()
    except CannotStart:
        return free_ports()
    return ports


@contextmanager
def one_machine() -> Iterator[Machine]:
    """`huangou up`, started once; at the end told to stop, and then no process of it is left."""
    with _state() as state:
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
            files = (state / "run").glob("*.json")
            children = [int(file.read_text().split('"pid": ')[1].split(",")[0]) for file in files]
            assert len(children) == len(machine.suite.ports.all())  # everything listens somewhere
            yield machine
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            drain.join(10)
            assert not any(map(is_alive, children))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@contextmanager
def containers() -> Iterator[Machine]:
    """`docker-compose up` from nothing; at the end everything is taken away again, volumes too."""
    with _state() as state:
        scale = [word for service in SERVICES for word in ("--scale", f"{service}=2")]
        try:
            _compose("up", "--detach", "--build", *scale)
            told = _compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "keys", f"/run/keys/installation/{FILE}")
            (state / FILE).write_text(told)
            machine = Containers(Suite(state, Ports(), load_installation(state)))
            for service in SERVICES:
                for number in (1, 2):
                    _wait_until_healthy(f"{PROJECT}_{service}_{number}")
            yield machine
        finally:
            print(_compose("logs", "--no-color", "--tail", "20"))
            _compose("down", "--volumes", "--timeout", "30")


@contextmanager
def _state() -> Iterator[Path]:
    state = Path(tempfile.mkdtemp(prefix="huangou-journeys-"))
    try:
        yield state
    finally:
        pointer = state / POINTER
        if pointer.exists():
            shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def _compose(*arguments: str) -> str:
    compose = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    return _run(*compose, "--project-name", PROJECT, *arguments)


def _run(*line: str) -> str:
    told = {**PACE, **os.environ}
    done = subprocess.run(
        line, cwd=CHECKOUT, env=told, capture_output=True, text=True, check=False, timeout=COMPOSE_SECONDS_MAX
    )
    assert done.returncode == 0, f"{' '.join(line)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def _wait_until_healthy(container: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while _run("docker", "inspect", "--format", "{{.State.Health.Status}}", container).strip() != "healthy":
        assert time.monotonic() < deadline, f"{container} did not become healthy"
        time.sleep(0.3)
