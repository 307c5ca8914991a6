"""Each service's committed OpenAPI document is the one that its code makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.postgres.provision import SERVICES

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.proves("X1")
@pytest.mark.parametrize("service", SERVICES)
def test_the_committed_document_is_what_the_code_says(service: str) -> None:
    line = [
        sys.executable,
        "-c",
        f"import sys; from deploy.local.openapi import written; sys.stdout.write(written({service!r}))",
    ]
    done = subprocess.run(line, cwd=CHECKOUT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    committed = (CHECKOUT / "services" / service / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(committed) == json.loads(done.stdout), "run `make openapi`"
    assert committed == done.stdout, "run `make openapi`"
