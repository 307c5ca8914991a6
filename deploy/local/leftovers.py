"""Remembers which processes were started, so that the next start can end those that outlived a killed supervisor."""

import json
import signal
from pathlib import Path

from deploy.local.processes import end, is_alive
from deploy.local.program import Program


def remember(folder: Path, program: Program, pid: int) -> None:
    """Write down a child's id with when it began, since ids are given out again, and how it is to be ended."""
    making = folder / f".{program.name}.making"
    facts = {"pid": pid, "began": began_of(pid), "farewell": int(program.farewell), "stop_seconds": program.stop_seconds}
    making.write_text(json.dumps(facts))
    making.replace(folder / f"{program.name}.json")


def forget(folder: Path, name: str) -> None:
    """The child has ended."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def end_leftovers(folder: Path) -> list[str]:
    """End every remembered child that still lives, by its own signal, then by SIGKILL; their names."""
    ended = []
    for file in sorted(folder.glob("*.json"), reverse=True):
        try:
            facts = json.loads(file.read_text())
            pid, began = int(facts["pid"]), facts["began"]
            farewell, patience = signal.Signals(facts["farewell"]), float(facts["stop_seconds"])
        except (ValueError, KeyError, TypeError):
            began = None
        if began is not None and began == began_of(pid):
            end([pid], [(farewell, patience), (signal.SIGKILL, 5.0)])
            ended.append(file.stem)
        file.unlink()
    return ended


def began_of(pid: int) -> str | None:
    """When the process began, in the kernel's ticks since boot, with the boot's id; None if it does not live.

    None on systems without /proc as well: there nobody is ended on the strength of a number alone.
    """
    if not is_alive(pid):
        return None
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
    except OSError:
        return None
