"""How the story is told: chapters and plain lines, and numbers that must be the expected ones."""

import time
from collections.abc import Callable
from typing import TypeVar

from deploy.local.failure import CannotStart

T = TypeVar("T")


class Deviation(CannotStart):
    """A number of the story is not the one that it must be."""


class Teller:
    """Says lines, and checks what it says."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Counts what was checked; the seconds count from here."""
        self._say = say
        self._chapter, self.checked = 0, 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the story has been going."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """A new chapter."""
        self._chapter += 1
        self._say(f"\n{self._chapter}. {title}")

    def line(self, text: str) -> None:
        """One plain line."""
        self._say(f"   {text}")

    def expect(self, what: str, found: T, expected: T) -> T:
        """The number as found, when it is the expected one. Raises Deviation."""
        self.checked += 1
        if found != expected:
            raise Deviation(f"{what}: expected {_shown(expected)}, found {_shown(found)}.")
        return found


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
