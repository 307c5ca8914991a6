"""What is reported beside the ratios: the memory of every process, and how long a service takes to start."""

import asyncio
import os
import platform
import signal
import socket
import time
from pathlib import Path
from typing import Any

from benchmarks.lab import APPLICATIONS, Lab, serving
from deploy.local.failure import CannotStart
from deploy.local.processes import tethered
from deploy.local.program import Born, answers
from deploy.local.suite import CHECKOUT
from deploy.postgres.provision import SERVICES

START_SECONDS_MAX = 60.0


def memory_of(lab: Lab) -> dict[str, float]:
    """Megabytes of each process that are its own, and its share of those that it shares (PSS)."""
    names = [*SERVICES, *(f"{service} worker" for service in SERVICES), *APPLICATIONS]
    return {name: _proportional_megabytes(lab.supervisor.process_of(name)) for name in names}


def _proportional_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(kilobytes / 1024, 1)


async def start_up_seconds(lab: Lab) -> dict[str, float]:
    """Seconds from nothing to the first good `/readyz` of each API, one after the other, beside the running suite."""
    return {service: await _start_up_seconds(lab, service) for service in SERVICES}


async def _start_up_seconds(lab: Lab, service: str) -> float:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        line = serving(f"services.{service}.app", [listening.fileno()])
        is_ready, started = answers("/readyz", listening.getsockname()[1]), time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *tethered(line, farewell=signal.SIGTERM),
            env={**os.environ, **lab.suite.service_environment(service)},
            cwd=CHECKOUT,
            pass_fds=(listening.fileno(),),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        while not await is_ready(Born(process.pid)):
            if process.returncode is not None or time.monotonic() - started > START_SECONDS_MAX:
                raise CannotStart(f"{service} did not start a second time.")
            await asyncio.sleep(0.01)
        took = time.monotonic() - started
        process.terminate()
        await process.wait()
        return round(took, 2)


async def describe(lab: Lab) -> dict[str, Any]:
    """What the figures were measured on."""
    version, fsync = (await lab.ask("postgres", "SELECT current_setting('server_version'), current_setting('fsync')"))[0]
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgresql": version,
        "fsync": fsync,
    }
