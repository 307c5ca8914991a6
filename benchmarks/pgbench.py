"""PostgreSQL alone: pgbench from the same wheel as the server, 16 clients, prepared statements, one function a transaction."""

import asyncio
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.alternating import Stretch
from deploy.local.binaries import programs
from deploy.local.failure import CannotStart
from deploy.local.postgres import SUPERUSER, EmbeddedPostgres

CLIENTS, THREADS = 16, 2


@dataclass(frozen=True)
class Pgbench:
    """One script on one database."""

    server: EmbeddedPostgres
    database: str
    script: str
    variables: Mapping[str, int] = field(default_factory=dict)

    async def run(self, seconds: float) -> Stretch:
        """Run it. Raises CannotStart when a transaction failed."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(self.script)
            script.flush()
            line = [
                str(programs() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={THREADS}",
                f"--time={max(1, round(seconds))}", f"--file={script.name}", "--host=127.0.0.1", f"--port={self.server.port}",
                f"--username={SUPERUSER}", *(f"--define={name}={value}" for name, value in self.variables.items()),
                self.database,
            ]  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                *line,
                env={**os.environ, "PGPASSWORD": self.server.password},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=Path("/"),
            )
            output, errors = (part.decode() for part in await process.communicate())
        rate = re.search(r"tps = ([\d.]+) \(without initial connection time\)", output)
        count = re.search(r"actually processed: (\d+)", output)
        if process.returncode != 0 or rate is None or count is None or "aborted" in errors:
            raise CannotStart(f"pgbench failed: {(errors or output).strip().splitlines()[-1]}")
        return Stretch(int(count[1]), int(count[1]) / float(rate[1]))
