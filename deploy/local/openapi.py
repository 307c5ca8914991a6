"""Writes a service's OpenAPI document from its application, without a database; a process of its own for each service."""

import base64
import importlib
import json
import os
import sys
from pathlib import Path

from deploy.local.installation import Installation
from deploy.local.suite import CHECKOUT, Ports, Suite


def written(service: str) -> str:
    """The document as it is committed; nothing is connected to, so the settings only have to be well formed."""
    secrets = Installation(signing_key=base64.b64encode(bytes(32)).decode())
    secrets.fill()
    os.environ.update(Suite(Path(), Ports(), secrets).service_environment(service))
    application = importlib.import_module(f"services.{service}.app").create()
    return json.dumps(application.openapi(), indent=2, ensure_ascii=False) + "\n"


def export(service: str) -> Path:
    """Write `services/<service>/openapi.json`."""
    target = CHECKOUT / "services" / service / "openapi.json"
    target.write_text(written(service), encoding="utf-8")
    return target


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(export(name).relative_to(CHECKOUT))
