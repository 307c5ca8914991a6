"""A small memory of look-ups: bounded, and forgetful after a while."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Keeps at most `most` values, each for `seconds` at the longest."""

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value while it is remembered."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def remember(self, key: K, value: V) -> V:
        """Keep a value and hand it back."""
        self._values[key] = (time.monotonic() + self._seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return value
