"""Two things measured in turn: short stretches of one and the other, so that what the machine does meanwhile meets both."""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STRETCH_SECONDS = 5.0


@dataclass(frozen=True)
class Stretch:
    """How many were done in how many seconds."""

    count: int
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.count / self.seconds


Side = Callable[[float], Awaitable[Stretch]]
"""Runs one side for so many seconds."""


@dataclass(frozen=True)
class Ratio:
    """What came of it: the first side's rate divided by the second's."""

    first_per_second: float
    second_per_second: float
    pairs: list[float]
    """The ratio of each pair of stretches."""
    facts: Mapping[str, Any]

    @property
    def value(self) -> float:
        """Over all stretches."""
        return self.first_per_second / self.second_per_second

    def as_json(self) -> dict[str, Any]:
        """For the file of results; rates of one machine at one time, which mean nothing by themselves."""
        return {
            "ratio": round(self.value, 3),
            "pairs": [round(pair, 3) for pair in self.pairs],
            "first_per_second": round(self.first_per_second),
            "second_per_second": round(self.second_per_second),
            **self.facts,
        }


async def alternate(first: Side, second: Side, *, seconds: float) -> Ratio:
    """Measure each side for `seconds` in all, after a warm-up of one stretch each."""
    stretches = max(1, round(seconds / STRETCH_SECONDS))
    length = seconds / stretches
    await first(length)
    await second(length)
    ones, others = [], []
    for _ in range(stretches):
        ones.append(await first(length))
        others.append(await second(length))
    return Ratio(
        first_per_second=_rate(ones),
        second_per_second=_rate(others),
        pairs=[one.per_second / other.per_second for one, other in zip(ones, others, strict=True)],
        facts=_middle(ones),
    )


def _rate(stretches: list[Stretch]) -> float:
    return sum(stretch.count for stretch in stretches) / sum(stretch.seconds for stretch in stretches)


def _middle(stretches: list[Stretch]) -> dict[str, Any]:
    """The median of every fact that the first side told of its stretches."""
    names = stretches[0].facts
    return {name: round(statistics.median(stretch.facts[name] for stretch in stretches), 3) for name in names}
