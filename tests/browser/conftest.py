"""A real browser in front of the running suite; skipped where there is none (Debian: apt install chromium fonts-noto-cjk)."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Request, expect, sync_playwright

from deploy.local.suite import CHECKOUT
from tests.browser.desk import BRANCH, Shop, Window
from tests.journeys.machines import Machine, one_machine

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
PREPARING_SECONDS = 45
"""How long goods can be cancelled here; half an hour where nothing is said."""
PATIENCE_MILLISECONDS = 60_000
PICTURES = CHECKOUT / "build" / "screenshots"
SAMPLES = CHECKOUT / "samples"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not any(map(shutil.which, CHROMIUMS)):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="There is no Chromium on the path (Debian: apt install chromium)."))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """The suite, with goods that leave soon and a courier that waits to be told."""
    given = {"HUANGOU_PREPARING_SECONDS": str(PREPARING_SECONDS), "HUANGOU_COURIER_PACE_SECONDS": "0"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        with one_machine() as machine:
            yield machine
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def shop(machine: Machine) -> Iterator[Shop]:
    """The sample campaign in force, its customers with points, its branches, and what customers do in their app."""
    done = machine.huangou("import", str(SAMPLES / "autumn-campaign.xlsx"), "--publish")
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("customers", "opening-balances", "branches"):
        done = machine.huangou("feed", kind, str(SAMPLES / f"{kind}.csv"))
        assert done.returncode == 0, done.stdout + done.stderr
    shop = Shop(machine)
    assert BRANCH in shop.branches()
    yield shop
    shop.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUMS)))
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, machine: Machine) -> Iterator[Window]:
    """A window on the desk; at its end nothing foreign was asked for, and nothing was refused by the policy of content."""
    with _watched(chromium.new_context(**_screen()), machine) as window:
        yield window


@pytest.fixture
def plain_window(chromium: Browser, machine: Machine) -> Iterator[Window]:
    """The same in a browser without JavaScript."""
    with _watched(chromium.new_context(**_screen(), java_script_enabled=False), machine) as window:
        yield window


def _screen() -> dict[str, object]:
    return {"viewport": {"width": 1366, "height": 768}, "locale": "zh-CN", "timezone_id": "Asia/Shanghai"}


class _watched:
    """A context whose page is watched while it is used."""

    def __init__(self, context: BrowserContext, machine: Machine) -> None:
        self._context, self._machine = context, machine
        self._hosts: set[str] = set()
        self._said: list[str] = []

    def __enter__(self) -> Window:
        self._context.set_default_timeout(PATIENCE_MILLISECONDS)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        page = self._context.new_page()
        page.on("request", self._note_host)
        page.on("console", self._note_words)
        page.on("pageerror", lambda error: self._said.append(str(error)))
        return Window(page, self._machine, PICTURES)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._context.close()
        if kind is None:
            ports = self._machine.suite.ports
            assert self._hosts <= {f"127.0.0.1:{ports.console}", f"127.0.0.1:{ports.identity}"}
            assert self._said == []

    def _note_host(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self._hosts.add(urlsplit(request.url).netloc)

    def _note_words(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "the server responded with a status of" not in message.text:
            self._said.append(message.text)
