"""What the containers may: none gains rights, and the one that makes the keys speaks with nobody (X6)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_gains_rights(name: str) -> None:
    assert "no-new-privileges:true" in SERVICES[name].get("security_opt", [])


def test_whoever_makes_the_keys_has_no_network_and_everybody_else_only_those_that_are_named() -> None:
    assert SERVICES["keys"]["network_mode"] == "none"
    assert [name for name, one in SERVICES.items() if name != "keys" and not one.get("networks")] == []
