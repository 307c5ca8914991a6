"""What the console's tests take for the services' answers is what the services' documents promise.

The documents are compared with the applications elsewhere, so an answer that changes its shape turns this red.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.support.console_answers import Answers

ROOT = Path(__file__).parents[2]
SERVICES = ("catalog", "redemption", "fulfillment")
DOCUMENTS = {service: json.loads((ROOT / "services" / service / "openapi.json").read_text()) for service in SERVICES}
ANSWERS = Answers().by_path
CALL = re.compile(r"""self\._voice\.(get|look|put|post)\(\s*f?"([^"]+)\"""")
METHODS = {"get": "GET", "look": "POST", "put": "PUT", "post": "POST"}


def operation(service: str, method: str, path: str) -> dict[str, Any] | None:
    """What a service's document says of a call."""
    for template, operations in DOCUMENTS[service]["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


@pytest.mark.proves("X1")
@pytest.mark.parametrize(("service", "method", "path"), ANSWERS, ids=lambda part: part)
def test_a_made_up_answer_is_one_that_the_service_could_give(service: str, method: str, path: str) -> None:
    status, body, _ = ANSWERS[service, method, path]
    found = operation(service, method, path.partition("?")[0])
    assert found is not None, "the service has no such route"
    schema = found["responses"][str(status)]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.validator_for({**schema, "components": DOCUMENTS[service]["components"]})
    assert [error.message for error in validator.iter_errors(body)] == []


@pytest.mark.proves("X1")
def test_every_call_that_the_console_can_make_has_its_route_and_its_made_up_answer() -> None:
    clients = {"redemption": ("redemption",), "fulfillment": ("fulfillment",), "tasks": SERVICES}
    answered = {(service, method, path.partition("?")[0]) for service, method, path in ANSWERS}
    for client, services in clients.items():
        source = (ROOT / "services" / "console" / "neighbours" / f"{client}.py").read_text()
        calls = CALL.findall(source)
        assert len(calls) == source.count("self._voice."), client
        for verb, path in calls:
            example = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            for service in services:
                assert any((s, m) == (service, METHODS[verb]) and example.fullmatch(p) for s, m, p in answered), (
                    f"{METHODS[verb]} {path} of {service}"
                )
