"""`python -m benchmarks`: measures every figure, or those that are named, and prints them with their aims."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import copies, rows
from benchmarks.child import Child
from benchmarks.figures import FIGURES, Bench, Figure
from benchmarks.lab import laboratory
from benchmarks.machine import describe, memory_of, start_up_seconds
from benchmarks.requests import Requests
from deploy.local.failure import CannotStart
from deploy.local.folders import POINTER, make_folder
from deploy.local.suite import CHECKOUT

RESULTS = CHECKOUT / "benchmarks" / "latest.json"
SECONDS = 30.0


def main() -> None:
    """Read the options, measure, print, and write the results down."""
    names = [figure.name for figure in FIGURES]
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("figures", nargs="*", choices=[*names, []], help=f"of {', '.join(names)}; all when none is named")
    options.add_argument("--seconds", type=float, default=SECONDS, help="how long each side is measured in all")
    options.add_argument("--state", type=Path, help="keep what was loaded in this folder, and use it again")
    given = options.parse_args()
    wanted = [figure for figure in FIGURES if figure.name in given.figures or not given.figures]
    state = make_folder(given.state or Path(tempfile.mkdtemp(prefix="huangou-benchmarks-")), 0o700)
    try:
        results = asyncio.run(measure(state.resolve(), wanted, given.seconds))
    except CannotStart as reason:
        sys.exit(str(reason))
    finally:
        if given.state is None:
            discard(state)
    show(wanted, results)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    say(f"written to {RESULTS.relative_to(CHECKOUT)}")


async def measure(state: Path, figures: list[Figure], seconds: float) -> dict[str, Any]:
    """Everything that is wanted, the books checked after each."""
    async with laboratory(state, say) as lab, Child("benchmarks.load") as load:
        about = {"at": datetime.now(UTC).isoformat(), "seconds": seconds, **await describe(lab)}
        start_up = await start_up_seconds(lab)
        with tempfile.TemporaryDirectory(dir=state) as folder:
            bench = Bench(lab, load, Requests(lab, Path(folder)), copies.redemptions_alone(lab), seconds)
            async with lab.without_workers():
                say(f"the function leaves the same rows as the service: {await rows.compare_redemption(lab)} rows compared")
            found = {}
            for figure in figures:
                say(f"measuring {figure.name}")
                ratio = await figure.measure(bench)
                say(f"  {ratio.value:.2f}, aim {figure.aim}; pairs {' '.join(f'{pair:.2f}' for pair in ratio.pairs)}")
                say(f"  books: {await lab.check_books()}")
                found[figure.name] = {**ratio.as_json(), "aim": figure.aim}
        return {"about": about, "figures": found, "memory_megabytes": memory_of(lab), "start_up_seconds": start_up}


def show(figures: list[Figure], results: dict[str, Any]) -> None:
    """The results as a table."""
    console = Console()
    table = Table("figure", "aim", "result", "pairs from", "to", "p50 ms", "p99 ms", "generator's share of a core")
    for figure in figures:
        found = results["figures"][figure.name]
        middle = [f"{found[name]:.1f}" if name in found else "" for name in ("p50_ms", "p99_ms")]
        share = f"{found['generator_cpu']:.0%}" if "generator_cpu" in found else ""
        result = f"{found['ratio']:.2f}{'' if found['ratio'] >= figure.aim else ' (below)'}"
        pairs = [f"{min(found['pairs']):.2f}", f"{max(found['pairs']):.2f}"]
        table.add_row(figure.name, f"{figure.aim:.2f}" if figure.aim else "", result, *pairs, *middle, share)
    console.print(table)
    for title, unit in (("memory_megabytes", "MB"), ("start_up_seconds", "s")):
        console.print(f"{title.rpartition('_')[0]}: " + ", ".join(f"{name} {n} {unit}" for name, n in results[title].items()))
    about = results["about"]
    console.print(
        f"{about['cores']} cores, load {about['load_before']} before; "
        f"PostgreSQL {about['postgresql']}, fsync {about['fsync']}; {about['seconds']:.0f} seconds a side"
    )


def discard(state: Path) -> None:
    """Remove a folder of state, and under root the data that it points to."""
    pointer = state / POINTER
    if pointer.exists():
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


def say(line: str) -> None:
    """To the person who waits."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
