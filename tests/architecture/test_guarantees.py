"""The page of guarantees is made from what was proven, and says nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import guarantees

ROOT = Path(__file__).parents[2]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of its own with a report of two numbers."""
    monkeypatch.setattr(guarantees, "ROOT", tmp_path)
    monkeypatch.setattr(guarantees, "REPORT", tmp_path / "proves.json")
    monkeypatch.setattr(guarantees, "PAGE", tmp_path / "docs" / "guarantees.md")
    write(
        tmp_path,
        {"G9": ["tests/a.py::test_the_last_one[1-x]", "tests/a.py::test_the_last_one[2-y]"], "K7": ["tests/b.py::test_b"]},
    )
    return tmp_path


def write(at: Path, proofs: dict[str, list[str]]) -> None:
    (at / "proves.json").write_text(json.dumps(proofs))


def test_what_is_proven_is_printed_and_written_once_a_test(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarantees.main([]) == 0
    assert "K7\n    tests/b.py::test_b" in capsys.readouterr().out
    page = (at / "docs" / "guarantees.md").read_text()
    assert page.count("the last one") == 1
    assert "## G9 Never oversold" in page
    assert "## G14" not in page


def test_the_check_sees_a_page_that_is_missing_or_old(at: Path) -> None:
    assert guarantees.main(["--check"]) == 1
    guarantees.main([])
    assert guarantees.main(["--check"]) == 0
    write(at, {"G14": ["tests/a.py::test_once"]})
    assert guarantees.main(["--check"]) == 1


def test_a_number_that_nobody_put_into_words_is_said(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(at, {"G99": ["tests/a.py::test_once"]})
    assert guarantees.main([]) == 1
    assert "G99" in capsys.readouterr().err


def test_without_a_run_there_is_nothing_to_say(at: Path) -> None:
    (at / "proves.json").unlink()
    assert guarantees.main([]) == 2


@pytest.mark.parametrize(("body", "proven"), [("pass", ["G9"]), ("assert False", []), ("import pytest; pytest.skip()", [])])
def test_only_a_test_that_passed_to_its_very_end_proves_something(tmp_path: Path, body: str, proven: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def books():\n    yield\n    assert books_balance\n"
        "books_balance = False\n"
        "@pytest.mark.proves('G9')\n"
        f"def test_a():\n    {body}\n"
        "@pytest.mark.proves('G10')\n"
        "def test_b(books):\n    pass\n"
    )
    program = (
        "import sys, pathlib, pytest, tests.support.proves as proves\n"
        f"proves.REPORT = pathlib.Path({str(tmp_path)!r}) / 'build' / 'proves.json'\n"
        f"options = ['-q', '-c', '/dev/null', '-p', 'no:cacheprovider', '--rootdir', {str(tmp_path)!r}, {str(tmp_path)!r}]\n"
        "pytest.main(options, [proves])\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, check=True, capture_output=True)
    report = tmp_path / "build" / "proves.json"
    assert sorted(json.loads(report.read_text()) if report.exists() else {}) == proven
