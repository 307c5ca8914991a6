"""The documents say what the code does: generated ones are up to date, links lead somewhere, every break has its line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate.__main__ import DOCS, DOCUMENTS
from services.catalog.books import BOOKS as CATALOG_BOOKS
from services.catalog.settings import Settings as CatalogSettings
from services.fulfillment.books import BOOKS as FULFILLMENT_BOOKS
from services.fulfillment.settings import Settings as FulfillmentSettings
from services.redemption.reconciliation import between as comparing
from services.redemption.reconciliation.domain import OWNERS
from services.redemption.reconciliation.own_books import BOOKS as REDEMPTION_BOOKS
from services.redemption.settings import Settings as RedemptionSettings

ROOT = DOCS.parent
SETTINGS = {"catalog": CatalogSettings, "redemption": RedemptionSettings, "fulfillment": FulfillmentSettings}
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "services").glob("*/README.md"), ROOT / "samples/README.md"])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)")
FENCED = re.compile(r"```.*?```", re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_generated_document_is_what_the_code_says(name: str) -> None:
    generate: Callable[[], str] = DOCUMENTS[name]
    assert read(DOCS / name) == generate(), "run `.venv/bin/python -m docs.generate`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [(page.parent / link).resolve() for link in LINK.findall(FENCED.sub("", read(page)))]
    assert [target for target in targets if not target.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_fence_is_closed_and_every_table_is_even(page: Path) -> None:
    text = read(page)
    assert text.count("```") % 2 == 0
    widths: list[int] = []
    for line in FENCED.sub("", text).splitlines():
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))))
            assert widths[-1] == widths[0], line
        else:
            widths = []


def test_every_kind_of_break_has_an_owner_and_a_line_in_the_runbook() -> None:
    page = read(DOCS / "runbooks" / "reconcile.md")
    between = set(re.findall(r'Break\(\s*"[a-z]+", "([a-z-]+)"', read(Path(comparing.__file__))))
    kinds = {*CATALOG_BOOKS.checks, *REDEMPTION_BOOKS.checks, *FULFILLMENT_BOOKS.checks, *between}
    assert len(between) >= 6
    assert kinds == OWNERS.keys()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert told == kinds


@pytest.mark.parametrize("service", SETTINGS)
def test_the_readme_tells_of_every_setting(service: str) -> None:
    page = read(ROOT / "README.md")
    silent = [name for name in SETTINGS[service].model_fields if f"`{name.upper()}`" not in page]
    assert silent == []


def test_the_contracts_are_written_one_way() -> None:
    """Two spaces, Chinese as it is, a newline at the end: so that a change shows as a change."""
    for path in sorted((ROOT / "tests" / "contract").glob("*/*.json")):
        assert read(path) == json.dumps(json.loads(read(path)), indent=2, ensure_ascii=False) + "\n", path


def test_the_documents_are_generated_without_a_database() -> None:
    code = "from docs.generate.__main__ import DOCUMENTS; [make() for make in DOCUMENTS.values()]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
