"""The import lines hold, and each contract is seen to catch what it is there for."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")
CONTRACTS = [
    contract["name"] for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
# For each contract a file of the tree and a line that it must not hold.
PLANTED = {
    "Services never import each other": ("services/catalog/stock/store.py", "import services.redemption.points.domain"),
    "the console has no data of its own: no database, no tasks": ("services/console/rooms.py", "import sqlalchemy"),
    "shared knows no service and nothing of how they are deployed": (
        "shared/ids.py", "import services.catalog.campaigns.domain",
    ),
    "deploy starts services as processes and speaks HTTP with them": (
        "deploy/local/failure.py", "import services.catalog.metadata",
    ),
    "services know nothing of how they are deployed": ("services/catalog/metadata.py", "import deploy.local.failure"),
    "app and worker stand above every feature": ("services/redemption/points/store.py", "import services.redemption.app"),
    "use cases know no HTTP of ours": ("services/catalog/versions/use_cases.py", "import services.catalog.versions.api"),
    "stores make no business decision: they know no use case": (
        "services/fulfillment/tills/store.py", "import services.fulfillment.tills.use_cases",
    ),
    "tables and domain stand at the bottom": (
        "services/redemption/points/tables.py", "import services.redemption.points.store",
    ),
    "the domain knows no tables": ("services/redemption/points/domain.py", "import services.redemption.points.tables"),
    "the domain is plain Python: no framework, no database, no network": (
        "services/redemption/points/domain.py", "import sqlalchemy",
    ),
    "features form a tree without circles": ("services/catalog/merchants/words.py", "import services.catalog.stock.store"),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the linter reads."""
    for folder in ("services", "shared", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_in(tree: Path) -> set[str]:
    """The contracts that a tree breaks."""
    done = subprocess.run(
        [LINTER, "--no-cache"], cwd=tree, capture_output=True, text=True, env={"PYTHONPATH": str(tree)}, check=False
    )
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    broken = {name for name in CONTRACTS if f"{name} BROKEN" in done.stdout}
    assert bool(broken) is (done.returncode != 0)
    return broken


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    assert broken_in(tree) == set()


def test_every_contract_has_a_planted_violation() -> None:
    assert set(PLANTED) == set(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_violation_is_found(tree: Path, contract: str) -> None:
    name, line = PLANTED[contract]
    source = tree / name
    source.write_text((source.read_text() if source.exists() else '"""Planted."""\n') + f"\n{line}\n")
    assert contract in broken_in(tree)


@pytest.mark.parametrize("service", ["catalog", "redemption", "fulfillment", "console"])
def test_a_service_imported_from_any_of_the_others_is_found(tree: Path, service: str) -> None:
    for other in {"catalog", "redemption", "fulfillment", "console"} - {service}:
        source = tree / "services" / other / "settings.py"
        before = source.read_text()
        source.write_text(before + f"\nimport services.{service}.settings\n")
        assert "Services never import each other" in broken_in(tree)
        source.write_text(before)
