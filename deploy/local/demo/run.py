"""Runs the story on a suite of its own: own folder of state, own ports, everything stopped and removed at the end."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx

from deploy.local.demo import collecting, crowds, delivering, ending, loading, ordering, paying, redeeming
from deploy.local.demo.scene import BANK_TIMEZONE, Scene
from deploy.local.demo.telling import Teller
from deploy.local.failure import CannotStart
from deploy.local.folders import POINTER, locked, make_folder, require_free_disk
from deploy.local.installation import load_installation
from deploy.local.processes import all_working_in
from deploy.local.speaking import Speaker
from deploy.local.suite import CHECKOUT, Ports, Suite
from deploy.local.supervisor import Supervisor, listen

BASES = range(18_100, 60_000, 100)
WORKBOOK = CHECKOUT / "samples" / loading.WORKBOOK
BRANCHES = CHECKOUT / "samples" / ordering.BRANCHES
PACE = {"HUANGOU_PREPARING_SECONDS": str(ordering.PREPARING_SECONDS), "HUANGOU_COURIER_PACE_SECONDS": "0"}
"""Goods leave soon, and what happens on the road happens when the story says so."""


def say(line: str) -> None:
    """To the person who watches, at once."""
    print(line, flush=True)


def play(state: Path) -> None:
    """Tell the whole story in that folder of state. Raises CannotStart, or Deviation at the first wrong number."""
    make_folder(state, 0o700)
    with locked(state):
        _discard(state)  # of a story that was killed
        teller = Teller(say)
        asyncio.run(_play(state, teller))
        _discard(state)
    say(f"\nEverything is as expected: {teller.checked} checks in {teller.seconds:.0f} seconds, and nothing is left running.")


async def _play(state: Path, teller: Teller) -> None:
    say("Huangou 換購: a demonstration on this machine, with made-up data, in a place of its own that is removed at the end.")
    say("Every number below can be checked by hand; the first one that is not as expected ends it with exit code 1.")
    require_free_disk(state)
    os.environ |= PACE
    suite = Suite(state, free_ports(), load_installation(state))
    server = suite.postgres()
    data = server.data
    today = datetime.now(BANK_TIMEZONE).date()
    files = await asyncio.to_thread(sample_files, today)
    teller.chapter("Everything is started: PostgreSQL, the sandbox, three services with their workers, the console")
    try:
        async with Supervisor(suite.stages(server), state, folder=CHECKOUT, say=lambda line: say(f"   {line}")) as supervisor:
            async with Speaker(suite) as speaker:
                await _unless_told(supervisor, tell(Scene(suite, supervisor, speaker, teller, today, files)))
            teller.chapter("Everything is stopped")
    except (CannotStart, httpx.TransportError) as error:
        say(f"\n   The logs are in {state / 'logs'}.")
        raise error if isinstance(error, CannotStart) else CannotStart(f"A service did not answer: {error!r}.") from None
    finally:
        server.close()
    left = all_working_in(data) + [int(file.stem) for file in (state / "run").glob("*.json")]
    teller.expect("Processes left behind", left, [])


async def _unless_told(supervisor: Supervisor, story: Coroutine[Any, Any, None]) -> None:
    """Go on until the end, or until Ctrl-C."""
    told, telling = asyncio.create_task(supervisor.until_told()), asyncio.create_task(story)
    await asyncio.wait({told, telling}, return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        telling.cancel()
        await asyncio.wait({telling})
        raise CannotStart("Stopped before the end of the story.")
    told.cancel()
    await telling


async def tell(scene: Scene) -> None:
    """The chapters, in order. While interrupted redemptions wait for their leases to end, tills and parcels go on."""
    await loading.load(scene)
    await redeeming.browse(scene)
    await redeeming.redeem(scene)
    await redeeming.show_timeline(scene)
    await ordering.order(scene)
    await crowds.race(scene)
    load = await crowds.kill_in_the_middle(scene)
    try:
        await paying.pay(scene)
        await delivering.deliver(scene)
        await collecting.collect(scene)
        await crowds.see_the_load_end(scene, load)
    finally:
        for task in load.running:
            task.cancel()
    await ending.close_the_books(scene)


def free_ports() -> Ports:
    """The first base from which every port is free."""
    for base in BASES:
        ports = Ports(base)
        try:
            for port in ports.all():
                listen(port, "the demonstration").close()
        except CannotStart:
            continue
        return ports
    raise CannotStart("No free ports were found on 127.0.0.1.")


def sample_files(day: date) -> dict[str, bytes]:
    """The sample workbook, and the feeds as of that day, so that lots expire as many days ahead whenever this is played."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "samples.customers", "--day", day.isoformat(), "--into", folder]
        done = subprocess.run(line, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotStart(f"The sample files could not be made: {done.stderr.strip().splitlines()[-1]}")
        feeds = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    return {loading.WORKBOOK: WORKBOOK.read_bytes(), ordering.BRANCHES: BRANCHES.read_bytes(), **feeds}


def _discard(state: Path) -> None:
    """Remove a story's data; under root that lies where the pointer says."""
    pointer = state / POINTER
    if pointer.exists():
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
    for each in state.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "lock":
            each.unlink()
