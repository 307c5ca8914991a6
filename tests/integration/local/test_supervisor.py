"""The supervisor: order, restarts, an orderly end, and nothing left behind by kill -9, shown on two small programs."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from deploy.local.control import ask_to_restart
from deploy.local.failure import CannotStart
from deploy.local.processes import is_alive, wait_until
from deploy.local.supervisor import listen

CHECKOUT = Path(__file__).parents[3]
STAND_IN = Path(__file__).with_name("stand_in.py")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the children of the dead on Linux only")


class Run:
    """One supervisor over the stand-in programs."""

    def __init__(self, state: Path, port: int, how: str) -> None:
        self.state, self.port = state, port
        line = [sys.executable, str(STAND_IN), "supervise", str(state), str(port), how]
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
        self.lines: list[str] = []

    def read_until(self, words: str) -> None:
        """Read what it says until a line contains the words."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, f"never said {words!r}: {self.lines}"
            self.lines.append(line.rstrip())
            if words in line:
                return

    def end(self, number: signal.Signals) -> tuple[str, str]:
        """Send a signal and read the rest."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)

    def answer(self, offset: int) -> int:
        """The id of the process that answers on a program's port."""
        return int(httpx.get(f"http://127.0.0.1:{self.port + offset}/", timeout=10, trust_env=False).text)


class Start(Protocol):
    def __call__(self, how: str = "well") -> Run: ...


def two_free_ports() -> int:
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        try:
            for number in (port, port + 1):
                listen(number, "a test").close()
        except CannotStart:
            continue
        return port
    raise AssertionError("no two free ports beside each other")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    port, runs = two_free_ports(), list[Run]()

    def run(how: str = "well") -> Run:
        runs.append(Run(tmp_path, port, how))
        return runs[-1]

    yield run
    for each in runs:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def pids(tmp_path: Path) -> list[int]:
    return [int(found) for file in (tmp_path / "run").glob("*.json") for found in re.findall(r'"pid": (\d+)', file.read_text())]


def test_stages_start_in_order_and_stop_in_reverse(start: Start, tmp_path: Path) -> None:
    run = start()
    run.read_until("all ready")
    said = [line.split("s  ")[1] for line in run.lines]
    assert said == [
        "starting first",
        f"first is ready on http://127.0.0.1:{run.port}",
        "the step is taken",
        "starting second",
        f"second is ready on http://127.0.0.1:{run.port + 1}",
        "all ready",
    ]
    children = pids(tmp_path)
    assert len(children) == 2
    said_last, _ = run.end(signal.SIGTERM)
    assert run.process.returncode == 0
    assert "everything is stopped" in said_last
    assert not any(map(is_alive, children))
    assert pids(tmp_path) == []


def test_ctrl_c_reaches_the_supervisor_alone_and_ends_everything_in_order(start: Start, tmp_path: Path) -> None:
    run = start()
    run.read_until("all ready")
    assert all(os.getpgid(child) != os.getpgid(run.process.pid) for child in pids(tmp_path))
    run.end(signal.SIGINT)
    assert run.process.returncode == 0
    assert (tmp_path / "logs" / "second.log").read_text().split() == ["serving", "stopping"]


def test_a_killed_program_is_started_again_and_no_caller_is_refused(start: Start, tmp_path: Path) -> None:
    run = start()
    run.read_until("all ready")
    before = run.answer(0)
    os.kill(before, signal.SIGKILL)
    after = run.answer(0)  # waits in the socket that the supervisor holds
    assert after != before
    run.read_until("first is ready again")
    assert any("first ended (by signal 9)" in line for line in run.lines)


@linux_only
@pytest.mark.proves("X8")
def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_start_is_clean(start: Start, tmp_path: Path) -> None:
    first = start()
    first.read_until("all ready")
    children = pids(tmp_path)
    first.end(signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, children)), 5)
    second = start()
    second.read_until("all ready")
    assert not any("left over" in line for line in second.lines)


@linux_only
def test_a_program_that_will_not_die_with_the_supervisor_is_ended_by_the_next_start(start: Start, tmp_path: Path) -> None:
    first = start("deaf")
    first.read_until("all ready")
    deaf = first.answer(1)
    first.end(signal.SIGKILL)
    time.sleep(0.2)
    assert is_alive(deaf)
    os.kill(deaf, signal.SIGSTOP)  # not even waiting for its signal
    second = start()
    second.read_until("all ready")
    assert any("second was left over" in line for line in second.lines)
    assert not is_alive(deaf)


def test_a_second_supervisor_over_the_same_state_says_who_holds_it(start: Start) -> None:
    first = start()
    first.read_until("all ready")
    second = start()
    _, reason = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert f"in use by process {first.process.pid}" in reason
    assert first.answer(0)


def test_a_taken_port_is_said_in_a_sentence_before_anything_starts(start: Start, tmp_path: Path) -> None:
    port = two_free_ports()
    with listen(port + 1, "a stranger"):
        run = Run(tmp_path, port, "well")
        said, reason = run.process.communicate(timeout=30)
    assert reason == f"Port {port + 1} on 127.0.0.1, meant for second, is taken by another program.\n"
    assert "ready" not in said
    assert pids(tmp_path) == []


def test_a_program_that_does_not_start_stops_the_rest_and_its_last_words_are_said(start: Start, tmp_path: Path) -> None:
    run = start("broken")
    said, reason = run.process.communicate(timeout=30)
    assert run.process.returncode == 1
    assert reason.startswith("second did not start")
    assert reason.endswith("the reason why\n")
    assert "everything is stopped" in said
    assert pids(tmp_path) == []


def ask(run: Run, *names: str) -> list[str]:
    async def asked() -> list[str]:
        return [sentence async for sentence in ask_to_restart(run.state, names)]

    return asyncio.run(asked())


@pytest.mark.proves("G36")
def test_a_restarted_program_is_followed_by_its_successor_and_no_caller_is_refused(start: Start) -> None:
    run = start()
    run.read_until("all ready")
    before, answered, told = run.answer(0), list[int](), threading.Event()

    def call() -> None:
        while not told.is_set():
            answered.append(run.answer(0))

    caller = threading.Thread(target=call)
    caller.start()
    try:
        assert ask(run, "first") == ["first has been restarted."]
    finally:
        told.set()
        caller.join()
    assert set(answered) == {before, run.answer(0)}
    assert len(set(answered)) == 2
    assert not is_alive(before)
    os.kill(run.answer(0), signal.SIGKILL)  # the successor is kept like the first one
    assert run.answer(0) not in answered


def test_everything_is_restarted_one_after_the_other(start: Start) -> None:
    run = start()
    run.read_until("all ready")
    before = {run.answer(0), run.answer(1)}
    assert ask(run) == ["first has been restarted.", "second has been restarted."]
    assert before.isdisjoint({run.answer(0), run.answer(1)})


def test_when_the_successor_does_not_start_the_old_one_stays(start: Start, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled"
    run = start(f"spoiled:{spoiled}")
    run.read_until("all ready")
    before = run.answer(1)
    spoiled.touch()
    with pytest.raises(CannotStart, match="the old one stays: the reason why"):
        ask(run, "second")
    assert run.answer(1) == before
    run.end(signal.SIGTERM)
    assert not is_alive(before)


def test_what_cannot_be_restarted_is_said_in_a_sentence(start: Start, tmp_path: Path) -> None:
    run = start()
    run.read_until("all ready")
    with pytest.raises(CannotStart, match=r"There is no third to restart; there are first, second\."):
        ask(run, "third")
    run.end(signal.SIGTERM)
    with pytest.raises(CannotStart, match="does not run here"):
        ask(run, "first")
