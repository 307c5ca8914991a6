"""Rules of the house that no linter knows: sizes, sentences, locks without addresses, errors mapped, whose clock decides."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shared.errors import DomainError
from shared.languages import LANGUAGES
from shared.problems import Catalogue

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/alembic.ini"))
PRODUCT = ("shared", "services", "deploy")
LINES_MAX = 400
LONGER_FOR_A_REASON = {
    "tests/integration/fulfillment/test_tills.py": "one sentence a thing that can happen to a till's request",
    "tests/recovery/test_fault_cells.py": "one sentence a cell of the fault matrix",
    "tests/unit/catalog/workbooks/test_workbook.py": "one sentence a mistake that a workbook can hold",
}
# Where a program may read its own clock: none of these decides what happens to anybody's points, stock or vouchers.
OWN_CLOCK = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time(_ns)?)\(|\b(localtime|gmtime)\(")
OF_A_SESSION = re.compile(
    r"\b(LISTEN|UNLISTEN|NOTIFY|pg_notify|pg_(try_)?advisory_\w+|CREATE TEMP(ORARY)?|SET SESSION|WITH HOLD|DISCARD ALL)\b"
    r"|^\s*SET (?!LOCAL|TRANSACTION)[a-z_]+\s*(=|TO)",
    re.MULTILINE,
)


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def said(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts_of(path: Path) -> Iterator[str]:
    """The strings of a module that are no docstring: where its SQL stands."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("name", ["runtime.txt", "images.txt", "dev.txt"])
def test_the_lists_of_requirements_hold_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-e|-i|--index|--extra-index|--find-links|-f|@)", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^\s;\\]+", entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_every_file_opens_with_a_sentence() -> None:
    silent = [said(path) for path in python_files(*PRODUCT, "tests") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_file_is_longer_than_400_lines_without_a_reason() -> None:
    long = {said(path) for path in python_files(*PRODUCT, "tests") if len(path.read_text().splitlines()) > LINES_MAX}
    assert long - set(LONGER_FOR_A_REASON) == set()
    assert all((ROOT / name).exists() for name in LONGER_FOR_A_REASON)


def test_nothing_is_left_half_done() -> None:
    half = re.compile(r"\bNotImplementedError\b|\bTODO\b|\bFIXME\b|\bXXX\b")
    assert [said(path) for path in python_files(*PRODUCT) if half.search(path.read_text())] == []


def test_the_databases_clock_decides_and_no_service_reads_its_own() -> None:
    assert [said(path) for path in python_files("services") if OWN_CLOCK.search(path.read_text())] == []


@pytest.mark.parametrize("line", ["datetime.now(UTC)", "time.time()", "date.today()", "datetime.utcnow()", "time.time_ns()"])
def test_a_clock_of_our_own_would_be_seen(line: str) -> None:
    assert OWN_CLOCK.search(f"at = {line}")


def test_no_statement_needs_a_session() -> None:
    """Behind PgBouncer in transaction mode, what belongs to a session is lost or another's."""
    for path in python_files("shared", "services"):
        assert not [text for text in texts_of(path) if OF_A_SESSION.search(text)], said(path)


@pytest.mark.parametrize(
    "statement",
    ["LISTEN tasks", "SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE x ()", "SET lock_timeout = 5", "SET search_path TO x"],
)
def test_a_statement_that_needs_a_session_would_be_seen(statement: str) -> None:
    assert OF_A_SESSION.search(statement)
    assert not OF_A_SESSION.search("UPDATE x SET lock_timeout = 5")
    assert not OF_A_SESSION.search("SET LOCAL lock_timeout = '2s'")


def test_what_must_not_be_guessed_comes_from_the_systems_entropy() -> None:
    """`random` is for spreading load alone; codes and keys come from `secrets` or `os.urandom`."""
    imports = re.compile(r"^\s*(import random|from random import)", re.MULTILINE)
    assert [said(path) for path in python_files("services", "shared") if imports.search(path.read_text())] == [
        "shared/tasks/queue.py",
        "shared/tasks/worker.py",
    ]


def modules_of(service: str) -> Iterator[ModuleType]:
    package = importlib.import_module(f"services.{service}")
    for found in pkgutil.walk_packages(package.__path__, f"services.{service}."):
        if ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def errors_of(service: str) -> set[type[DomainError]]:
    return {
        thing
        for module in modules_of(service)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, DomainError) and thing.__module__.startswith(f"services.{service}.")
    }


def catalogue_of(service: str) -> Catalogue:
    problems = importlib.import_module(f"services.{service}.problems")
    [catalogue] = [thing for thing in vars(problems).values() if isinstance(thing, Catalogue)]
    return catalogue


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_of_a_service_has_a_problem_type_and_a_sentence(service: str) -> None:
    errors, catalogue = errors_of(service), catalogue_of(service)
    assert errors
    for error in errors:
        assert error.__doc__, error
        assert catalogue.type_of(error.__new__(error)) is not None, error


@pytest.mark.parametrize("service", SERVICES)
def test_every_problem_of_a_service_is_said_in_three_languages_under_a_code_of_its_own(service: str) -> None:
    catalogue = catalogue_of(service)
    codes = [kind.code for kind in catalogue.own.values()]
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    by_code = {kind.code: kind for kind in catalogue.all_types()}
    for kind in catalogue.own.values():
        assert by_code[kind.code] == kind, f"{kind.code} means two things"
        assert 400 <= kind.status < 600
        assert set(kind.sentences) == set(LANGUAGES)
        assert all(sentence.strip() for sentence in kind.sentences.values())
        assert len({frozenset(re.findall(r"\{(\w+)\}", sentence)) for sentence in kind.sentences.values()}) == 1, kind.code
    for sentences in catalogue.field_sentences.values():
        assert set(sentences) == set(LANGUAGES)
