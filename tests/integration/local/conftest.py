"""Folders for servers and supervisors of these tests, apart from the machine's own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def system_state() -> Iterator[Path]:
    """A stand-in for /var/lib/huangou: reachable by a lesser user, shared so that the programs are copied once."""
    folder = Path(tempfile.mkdtemp(prefix="huangou-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def closed_folder(tmp_path: Path, system_state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that nobody else can enter, as root's home and a fresh clone below it are."""
    monkeypatch.setenv("HUANGOU_SYSTEM_STATE", str(system_state))
    folder = tmp_path / "closed" / "clone"
    folder.mkdir(parents=True)
    for each in (folder.parent, folder):
        each.chmod(0o700)
    return folder


def modes_above(folder: Path) -> dict[Path, int]:
    """The permission bits of a folder and everything above it."""
    return {each: each.stat().st_mode for each in (folder, *folder.parents)}
