"""Remembers which processes were started, so that the next start can end those that outlived a killed supervisor."""

import json
import signal
from pathlib import Path

from deploy.local.processes import end


def remember(folder: Path, name: str, pid: int, farewell: signal.Signals) -> None:
    """Write down a child's id together with when it began, since ids are given out again, and how to end it."""
    making = folder / f".{name}.making"
    making.write_text(json.dumps({"pid": pid, "began": began_of(pid), "farewell": int(farewell)}))
    making.replace(folder / f"{name}.json")


def forget(folder: Path, name: str) -> None:
    """The child has ended."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def end_leftovers(folder: Path) -> list[str]:
    """End every remembered child that still lives, by its own signal, then by SIGKILL; their names."""
    found: dict[str, int] = {}
    farewells: dict[int, list[int]] = {}
    for file in folder.glob("*.json"):
        try:
            written = json.loads(file.read_text())
            pid, began, farewell = int(written["pid"]), written["began"], int(written["farewell"])
        except (ValueError, KeyError, TypeError):
            continue
        if began is not None and began == began_of(pid):
            found[file.stem] = pid
            farewells.setdefault(farewell, []).append(pid)
    for farewell, pids in farewells.items():
        end(pids, [(signal.Signals(farewell), 10.0), (signal.SIGKILL, 5.0)])
    for file in folder.glob("*.json"):
        file.unlink()
    return sorted(found)


def began_of(pid: int) -> str | None:
    """When the process began, in the kernel's ticks since boot, with the boot's id; None if there is no such process.

    None on systems without /proc as well: there nobody is ended on the strength of a number alone.
    """
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
    except OSError:
        return None
