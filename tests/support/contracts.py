"""Contracts between services: one JSON file an interaction, written by the consumer and held to by both sides.

`says` what is promised; `before` names interactions that come first; `request` is what the consumer sends; `answer` is what
it needs: the provider may say more, never less. Members named in `alike` agree in kind, all others in value.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "contract"
TAG_BEFORE = "the etag of the answer before"


@dataclass(frozen=True)
class Interaction:
    """One file."""

    pair: str
    name: str
    says: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    before: Sequence[str] = ()
    alike: frozenset[str] = field(default_factory=frozenset)

    @property
    def id(self) -> str:
        """As a test is named after it."""
        return f"{self.pair}/{self.name}"

    def chain(self) -> list["Interaction"]:
        """What comes before, then this one."""
        return [read(self.pair, name) for name in self.before] + [self]


def read(pair: str, name: str) -> Interaction:
    """One interaction of a pair such as `redemption-catalog`."""
    found = json.loads((FOLDER / pair / f"{name}.json").read_text(encoding="utf-8"))
    return Interaction(pair=pair, name=name, **{**found, "alike": frozenset(found.get("alike", ()))})


def all_of(pair: str) -> list[Interaction]:
    """Every interaction of a pair."""
    return [read(pair, path.stem) for path in sorted((FOLDER / pair).glob("*.json"))]


def differences(needed: Any, got: Any, alike: frozenset[str], where: str = "answer") -> Iterator[str]:
    """Where what was got is not what the contract needs."""
    if where.rpartition(".")[2] in alike:
        if type(needed) is not type(got):
            yield f"{where} is {got!r}, which is of another kind than {needed!r}"
    elif isinstance(needed, Mapping) and isinstance(got, Mapping):
        for name, value in needed.items():
            if name not in got:
                yield f"{where}.{name} is missing"
            else:
                yield from differences(value, got[name], alike, f"{where}.{name}")
    elif isinstance(needed, list) and isinstance(got, list) and len(needed) == len(got):
        for number, (one, other) in enumerate(zip(needed, got, strict=True)):
            yield from differences(one, other, alike, f"{where}[{number}]")
    elif needed != got:
        yield f"{where} is {got!r}, not {needed!r}"
