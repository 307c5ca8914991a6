"""What browsing remembers in a process: a snapshot of what is in force, and answers as bytes.

The snapshot is at most two seconds old. Bytes are kept by everything that they depend on, so nothing has to be thrown away when
something changes: a new version, another day or another step of what is left is another key.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.catalog.answers import Encoded
from services.catalog.browsing.domain import Remaining

SNAPSHOT_SECONDS_MAX = 2.0
BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class OpenCampaign:
    """A campaign that can be looked at, with the version in force."""

    code: str
    version: int
    about: Mapping[str, Any]
    """The row of the workbook's campaign sheet."""
    steps: str
    """Follows from what is left of each offer, in coarse steps."""


@dataclass(frozen=True)
class Snapshot:
    """What is in force, and how much is left."""

    today: date
    campaigns: Mapping[str, OpenCampaign]
    remaining: Mapping[UUID, Remaining]
    offers: Mapping[UUID, tuple[str, int]]
    """Campaign and version in force of each offer."""


def steps_of(remaining: Mapping[UUID, Remaining]) -> str:
    """A short name for a state of what is left."""
    lines = sorted(f"{one} {left}" for one, left in remaining.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


class Shelf:
    """Snapshot and bytes of one process."""

    def __init__(self, read: Callable[[], Awaitable[Snapshot]], *, seconds_max: float = SNAPSHOT_SECONDS_MAX) -> None:
        """`read` makes a fresh snapshot."""
        self._read = read
        self._seconds_max = seconds_max
        self._lock = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._bytes: OrderedDict[Hashable, Encoded] = OrderedDict()
        self._size = 0

    async def snapshot(self) -> Snapshot:
        """What is in force; one caller reads, the others wait for it."""
        if self._snapshot is not None and self._is_fresh():
            return self._snapshot
        async with self._lock:
            if self._snapshot is None or not self._is_fresh():
                started = time.monotonic()
                self._snapshot = await self._read()
                self._read_at = started
            return self._snapshot

    async def keep(self, key: Hashable, make: Callable[[], Awaitable[Encoded]]) -> Encoded:
        """The bytes under this key, made when they are not there; the ones used longest ago give way."""
        kept = self._bytes.get(key)
        if kept is not None:
            self._bytes.move_to_end(key)
            return kept
        made = await make()
        if key not in self._bytes:
            self._bytes[key] = made
            self._size += len(made.body)
        while self._size > BYTES_MAX:
            _, dropped = self._bytes.popitem(last=False)
            self._size -= len(dropped.body)
        return made

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at < self._seconds_max
