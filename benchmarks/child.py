"""A process that carries out orders: a line of JSON in, a line of JSON out."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from deploy.local.failure import CannotStart
from deploy.local.processes import tethered
from deploy.local.suite import CHECKOUT

LINE_BYTES_MAX = 1024 * 1024


class Child:
    """`async with Child("benchmarks.load") as load: await load.tell({...})`."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts `python -m module` with these variables beside our own."""
        self._module = module
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", self._module], farewell=signal.SIGTERM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=CHECKOUT,
            env={**os.environ, **self._environment},
            limit=LINE_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def tell(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Have one order carried out. Raises CannotStart when the process has ended, or says that it failed."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise CannotStart(f"{self._module} ended by itself; its last words stand above.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CannotStart(f"{self._module}: {answer['error']}")
        return answer
