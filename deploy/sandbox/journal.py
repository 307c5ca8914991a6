"""A sandbox program's memory: a file of JSON lines, one a change, so that what it said yesterday it says today.

While a program is restarted its successor works beside it for a moment: each looks at what the other wrote before it decides.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Follow = Callable[[dict[str, Any]], None]


class Journal:
    """Changes, told to `follow` one by one in their order: those of before, of now, and of whoever else writes."""

    def __init__(self, file: Path | None, follow: Follow) -> None:
        """Without a file nothing outlives the process."""
        self._follow = follow
        self._descriptor = None if file is None else os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._read_bytes = 0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else writes, and everything that was written is known."""
        if self._descriptor is None:
            yield
            return
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            self._catch_up(self._descriptor)
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, **change: Any) -> None:
        """Keep a change, in one's turn and before anybody is told of it; it survives the process."""
        if self._descriptor is not None:
            line = json.dumps(change, ensure_ascii=False).encode() + b"\n"
            os.write(self._descriptor, line)
            self._read_bytes += len(line)
        self._follow(change)

    def _catch_up(self, descriptor: int) -> None:
        """Follow what was written since. A last line that was torn by a crash was never answered for, and is cut off."""
        size = os.fstat(descriptor).st_size
        fresh = os.pread(descriptor, size - self._read_bytes, self._read_bytes)
        whole = fresh[: fresh.rfind(b"\n") + 1]
        if len(whole) < len(fresh):
            os.ftruncate(descriptor, self._read_bytes + len(whole))
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            self._follow(json.loads(line))
