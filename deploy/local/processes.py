"""What this machine says about its processes: who is alive, who works in which folder, how to end one."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")


def tethered(command: list[str], *, farewell: signal.Signals, run_as: tuple[int, int] | None = None) -> list[str]:
    """The command behind the wrapper that ends it, by the signal `farewell`, when the calling process dies.

    The calling thread counts, not only its process: start children from a thread that lives as long as they shall.
    `run_as` is a user and group id to step down to first.
    """
    user, group = run_as or (-1, -1)
    wrapper = [sys.executable, "-I", "-S", str(TETHER), str(int(farewell)), str(os.getpid()), str(user), str(group)]
    return [*wrapper, *command]


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def works_in(pid: int, folder: Path) -> bool:
    """Whether that process has this folder as its working directory: how PostgreSQL's own processes are told."""
    if not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except FileNotFoundError:  # no /proc on this system
        answer = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return str(folder) in answer.stdout
    except OSError:
        return False


def all_working_in(folder: Path) -> list[int]:
    """The processes whose working directory is this folder; empty where the system has no /proc."""
    numbers = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in numbers if works_in(pid, folder)]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at the condition every 10 ms until it holds (True) or the seconds are over (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end(pids: Iterable[int], signals: Iterable[tuple[signal.Signals, float]]) -> bool:
    """Send the signals one after the other, each with its patience in seconds, until all are gone (True)."""
    numbers = list(pids)
    for number, patience in signals:
        for pid in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until(lambda: not any(map(is_alive, numbers)), patience):
            return True
    return not any(map(is_alive, numbers))
