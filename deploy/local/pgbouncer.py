"""Runs Debian's PgBouncer in transaction mode in front of a server on loopback, for the tests that go through it.

A suite that works through it may stand behind any pooler of that kind: nothing in it belongs to a session.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.failure import CannotStart
from deploy.local.folders import give_to, lesser_user
from deploy.local.processes import tethered, wait_until

START_SECONDS_MAX = 10.0
CONNECTIONS_PER_USER = 8


def pgbouncer_program() -> str | None:
    """PgBouncer, where it is installed (on Debian it lies in /usr/sbin, which is not on everybody's path)."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """`with PgBouncer(server.port, {"catalog_service": "…"}) as pooler: pooler.port`."""

    def __init__(self, server_port: int, passwords: Mapping[str, str]) -> None:
        """Passes on every database of the server on that port to the users whose passwords are given."""
        self._server_port, self._passwords = server_port, passwords
        self._process: subprocess.Popen[bytes] | None = None
        self._held = contextlib.ExitStack()
        self.port = 0

    def __enter__(self) -> Self:
        """Raises CannotStart when it is not installed or does not start."""
        program = pgbouncer_program()
        if program is None:
            raise CannotStart("PgBouncer is not installed (on Debian, `apt install pgbouncer`).")
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="huangou-pgbouncer-")))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings, users = folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text(
            "".join(f'"{name}" "{value.replace(chr(34), chr(34) * 2)}"\n' for name, value in self._passwords.items())
        )
        settings.write_text(self._settings(users))
        for path in (folder, settings, users):
            give_to(path, lesser_user())
            path.chmod(0o700 if path is folder else 0o600)
        line = tethered([program, "-q", str(settings)], farewell=signal.SIGTERM, run_as=lesser_user())
        self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
        process = self._process
        wait_until(lambda: process.poll() is not None or self._accepts(), START_SECONDS_MAX)
        if process.poll() is not None or not self._accepts():
            _, words = process.communicate()
            self._held.close()
            raise CannotStart(f"PgBouncer did not start: {words.decode(errors='replace').strip()[-300:]}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # once the transactions under way are over
            try:
                self._process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
        self._held.close()

    def _settings(self, users: Path) -> str:
        return "\n".join(
            (
                "[databases]",
                f"* = host=127.0.0.1 port={self._server_port}",
                "[pgbouncer]",
                "listen_addr = 127.0.0.1",
                f"listen_port = {self.port}",
                "unix_socket_dir =",
                "pool_mode = transaction",
                "auth_type = scram-sha-256",
                f"auth_file = {users}",
                f"default_pool_size = {CONNECTIONS_PER_USER}",
                "max_client_conn = 500",
                "ignore_startup_parameters = extra_float_digits",
                "",
            )
        )

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
