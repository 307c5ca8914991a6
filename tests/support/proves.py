"""`@pytest.mark.proves("G9", "K7")`: which requirements and promises each test proves.

After a run in which tests passed, `build/proves.json` holds {number: [tests]} of those that passed, their setting up and
their clearing away too: in there the books are compared.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

NUMBER = re.compile(r"^[CKPRFSEAXG]\d{1,2}$")
REPORT = Path(__file__).parents[2] / "build" / "proves.json"

_PROPERTY = "proves"

_numbers: dict[str, list[str]] = {}
_passed: set[str] = set()
_failed: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Read the markers; a number that cannot exist is an error."""
    for item in items:
        for marker in item.iter_markers("proves"):
            for number in marker.args:
                if not NUMBER.match(number):
                    raise pytest.UsageError(f"{item.nodeid}: {number!r} is no number of a requirement or promise")
                item.user_properties.append((_PROPERTY, number))  # travels with the report, from another process too


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what passed and what failed."""
    if report.failed:
        _failed.add(report.nodeid)
    elif report.when == "call" and report.passed:
        _passed.add(report.nodeid)
        _numbers[report.nodeid] = [str(value) for name, value in report.user_properties if name == _PROPERTY]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; where several processes share the tests, only the one that hears of all of them does."""
    if hasattr(session.config, "workerinput"):
        return
    proofs: dict[str, list[str]] = defaultdict(list)
    for test in sorted((_passed - _failed) & _numbers.keys()):
        for number in dict.fromkeys(_numbers[test]):
            proofs[number].append(test)
    if proofs:
        REPORT.parent.mkdir(exist_ok=True)
        ordered = {number: proofs[number] for number in sorted(proofs, key=lambda n: (n[0], int(n[1:])))}
        REPORT.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
