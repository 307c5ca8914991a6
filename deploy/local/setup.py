"""Makes the virtual environment from the hashed lists; run by path with any Python, so it imports nothing but Python's own.

Usage: setup.py runtime|dev. It does its work again only when a list changed, and never takes the development tools away
from an environment that has them.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
UV_VERSION = "0.13.9"
OLDEST = (3, 11)
FREE_BYTES_MIN = 1024**3


def main(kind: str) -> None:
    """Bring the environment to the list's state, or say in a sentence why not."""
    if kind == "runtime" and _stamp("dev").exists():
        kind = "dev"
    wanted = _fingerprint(kind)
    if PYTHON.exists() and _stamp(kind).exists() and _stamp(kind).read_text() == wanted:
        return
    _require_a_fit_machine()
    if not PYTHON.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "The virtual environment could not be made")
    if not (VENV / "bin" / "uv").exists():
        # an environment that uv made has no pip yet
        _run([str(PYTHON), "-m", "ensurepip"], "pip could not be put into the virtual environment", quiet=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_VERSION}"]
        _run(pip, "The installer (uv) could not be fetched")
    uv = [str(VENV / "bin" / "uv"), "pip"]
    sync = ["sync", "--require-hashes", "--compile-bytecode", str(_list(kind))]
    _run([*uv, *sync], "The packages could not be installed")
    editable = ["install", "--quiet", "--no-deps", "--no-build-isolation", "-e", str(CHECKOUT)]
    _run([*uv, *editable], "The project could not be installed into its environment")
    for other in ("runtime", "dev"):
        _stamp(other).unlink(missing_ok=True)
    _stamp(kind).write_text(wanted)


def _require_a_fit_machine() -> None:
    found = sys.version_info[:2]
    if found < OLDEST:
        sys.exit(f"Python {found[0]}.{found[1]} is too old: 3.11 or newer is needed; name one by `make PYTHON=python3.12 …`.")
    if not PYTHON.exists() and not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        sys.exit(
            "Python's `venv` module is missing: install it (Debian, Ubuntu: `apt install python3-venv`) and run this again."
        )
    free = shutil.disk_usage(CHECKOUT).free
    if free < FREE_BYTES_MIN:
        sys.exit(f"Only {free // 1024**2} MiB are free where {CHECKOUT} lies, and {FREE_BYTES_MIN // 1024**2} MiB are needed.")


def _run(command: list[str], failure: str, *, quiet: bool = False) -> None:
    # no interpreter is fetched from anywhere, and nothing of another environment that happens to be active leaks in
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": str(VENV)}
    environment.pop("PYTHONHOME", None)
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, check=False, stdout=subprocess.DEVNULL if quiet else None)
    if done.returncode != 0:
        sys.exit(f"{failure}; the reason stands above.")


def _fingerprint(kind: str) -> str:
    found = hashlib.sha256(f"{CHECKOUT}\n".encode())
    for path in (_list(kind), CHECKOUT / "pyproject.toml"):
        found.update(path.read_bytes())
    return found.hexdigest()


def _list(kind: str) -> Path:
    return CHECKOUT / "requirements" / f"{kind}.txt"


def _stamp(kind: str) -> Path:
    return VENV / f".set-up-for-{kind}"


if __name__ == "__main__":
    main(sys.argv[1])
