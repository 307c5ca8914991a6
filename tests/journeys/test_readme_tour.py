"""The tour of the README, run as it is printed: every `sh` block after the comment `<!-- tour -->`, in one shell, in order."""

import re
import shutil
import subprocess
import sys

import pytest

from deploy.local.suite import CHECKOUT, Ports
from tests.journeys.machines import Machine

TOUR = re.compile(r"<!-- tour -->\s*```sh\n(.*?)```", re.DOTALL)


def tour_blocks() -> list[str]:
    return TOUR.findall((CHECKOUT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.proves("X8")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_the_tour_of_the_readme_works_as_printed(machine: Machine) -> None:
    blocks = tour_blocks()
    assert blocks, "README.md marks no block with <!-- tour -->"
    script = "\n".join(["set -euo pipefail", *blocks])
    usual, ports = Ports(), machine.suite.ports
    for here, there in zip(usual.all(), ports.all(), strict=True):  # another program may have the usual ports
        script = script.replace(f"127.0.0.1:{here}", f"127.0.0.1:{there}").replace(f"localhost:{here}", f"localhost:{there}")
    if not (CHECKOUT / ".venv/bin/huangou").exists():  # the tests run in an environment that `make setup` has not made
        script = script.replace(".venv/bin/huangou", f"{sys.executable} -m deploy.local.cli")
    done = subprocess.run(
        ["bash", "-c", script], cwd=CHECKOUT, env=machine.environment, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
