"""By halves: a set that is refused is halved until what spoils it is alone, so that one does not hold up the others.

At rest a set is one call and one commit. Only a set that fails is taken apart, each part as a whole of its own.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from shared.database import DatabaseUnavailable, Overloaded, is_cut_off, is_down, is_retryable
from shared.http_client import Refused

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Halved(Generic[T, R]):
    """What came of a set: the results of the parts that it went through in, in their order, and what spoiled it."""

    results: list[R] = field(default_factory=list)
    spoiled: list[tuple[T, Exception]] = field(default_factory=list)


async def by_halves(
    items: Sequence[T], work: Callable[[Sequence[T]], Awaitable[R]], spoils: Callable[[Exception], bool]
) -> Halved[T, R]:
    """Do the work of a set; when it fails with an error that one item may have caused (`spoils`), of each half by itself.

    `work` must leave nothing behind when it raises, as a transaction does. Raises its other errors: they are nobody's fault.
    """
    found: Halved[T, R] = Halved()
    if not items:
        return found
    try:
        found.results.append(await work(items))
    except Exception as error:
        if not spoils(error):
            raise
        if len(items) == 1:
            found.spoiled.append((items[0], error))
            return found
        half = len(items) // 2
        for part in (items[:half], items[half:]):
            halved = await by_halves(part, work, spoils)
            found.results.extend(halved.results)
            found.spoiled.extend(halved.spoiled)
    return found


def spoils_a_commit(error: Exception) -> bool:
    """Whether one item may have made a commit fail: anything but a database that is busy, cut us off or went away."""
    passing = isinstance(error, Overloaded | DatabaseUnavailable) or is_retryable(error) or is_cut_off(error) or is_down(error)
    return not passing


async def ask_by_halves(items: Sequence[T], ask: Callable[[Sequence[T]], Awaitable[Mapping[K, R]]]) -> dict[K, R]:
    """One call for a set. What the neighbour refuses to read alone is left out of the answer, and an error in the log."""
    halved = await by_halves(items, ask, lambda error: isinstance(error, Refused))
    for _, error in halved.spoiled:
        log.error("refused_alone", error=str(error))
    return {key: value for answer in halved.results for key, value in answer.items()}
