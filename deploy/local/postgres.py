"""Runs PostgreSQL 18 on this machine from the wheel's programs: loopback TCP, passwords, as root or as a user.

`EmbeddedPostgres.temporary()` is for tests; `EmbeddedPostgres.of(state)` keeps its data. Both serve
`with … as server: server.url("catalog", user="catalog_owner", password="…")`. The server is a child of the calling
process and stops when that dies, by kill -9 too.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.local.binaries import programs
from deploy.local.failure import CannotStart
from deploy.local.folders import give_to, home_of, lesser_user, locked, require_free_disk, temporary_home
from deploy.local.processes import all_working_in, end, is_alive, tethered, wait_until, works_in

START_SECONDS_MAX = 60.0  # a crash of a busy server may have much to replay
FAST_STOP, IMMEDIATE_STOP = signal.SIGINT, signal.SIGQUIT
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_parameter_max_length": "0",  # parameters can be secrets
    "log_parameter_max_length_on_error": "0",
}
# A commit still reaches the operating system before it is answered, so a kill -9 loses none; only a power cut would.
# After a crash PostgreSQL makes sure that every file is on the disk before it replays: one call for the file system where
# there is one, instead of a call for each of some ten thousand files.
QUICK_RECOVERY = {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
WITHOUT_FSYNC = {"fsync": "off", "full_page_writes": "off"}
# Of a server that is killed nothing stays in the system's shared memory: what it shared goes with its folder.
TIDY = {"dynamic_shared_memory_type": "mmap"}


class EmbeddedPostgres:
    """One server on one folder; held by a lock, so that two never share it."""

    def __init__(
        self, home: Path, *, password: str, port: int = 0, fsync: bool = True, settings: dict[str, str] | None = None
    ) -> None:
        """`home` is a folder that the lesser user can reach; port 0 takes a free one; `fsync=False` only for tests."""
        self.home, self.password, self.port, self.fsync = home, password, port, fsync
        self.data = home / "data"
        self.log = home / "postgres.log"
        self.settings = SETTINGS | QUICK_RECOVERY | ({} if fsync else WITHOUT_FSYNC) | (settings or {})
        self.process: subprocess.Popen[bytes] | None = None
        self._throw_away = False
        self._held, self._holding = contextlib.ExitStack(), False

    @classmethod
    def of(cls, state: Path, *, password: str, port: int, fsync: bool = True) -> Self:
        """The server whose data belongs to a folder of state such as `.huangou`."""
        return cls(home_of(state), password=password, port=port, fsync=fsync)

    @classmethod
    def temporary(cls, *, fsync: bool = False, settings: dict[str, str] | None = None) -> Self:
        """A server for tests on a free port; its data is removed when it stops, or by the next one if it could not.

        What need not survive a power cut may as well lie in memory: a test's own database is then made in half the time.
        """
        home = temporary_home(in_memory=not fsync)
        server = cls(home, password=secrets.token_urlsafe(18), fsync=fsync, settings=TIDY | (settings or {}))
        server._throw_away = True
        return server

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq address on loopback; without a user, the superuser's."""
        return f"postgresql://{user}:{self.password if password is None else password}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def prepare(self) -> None:
        """Take the folder, make the data directory if there is none, and clear away what a killed server left.

        Before every start, the ones after a crash included.
        """
        if not self._holding:
            self._held.enter_context(locked(self.home, "postgres.lock"))
            self._holding = True
        require_free_disk(self.home)
        if not self.data.exists():
            self._initialise()
        self.clear_leftovers()
        self.port = self.port or _free_port()

    def start(self) -> None:
        """Start the server as a child and wait until it takes connections. Raises CannotStart with the reason."""
        _require_free_port(self.port)
        line = tethered(self.program(), farewell=FAST_STOP, run_as=lesser_user())
        with self.open_log() as log:
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home)
        process = self.process
        settled = wait_until(lambda: self.is_ready(process.pid) or process.poll() is not None, START_SECONDS_MAX)
        if process.poll() is not None or not settled:
            self.stop()
            raise CannotStart(f"PostgreSQL did not start; the reason is at the end of {self.log}.")

    def program(self) -> list[str]:
        """The server's command line; to be run as the lesser user, where there is one."""
        settings = [f"--{name.replace('_', '-')}={value}" for name, value in {**self.settings, "port": str(self.port)}.items()]
        return [str(programs() / "postgres"), "-D", str(self.data), *settings]

    def open_log(self) -> IO[bytes]:
        """The server's log, opened for appending by us, so that the folder need not be the lesser user's."""
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")

    def is_ready(self, pid: int) -> bool:
        """Whether the server with this process id says in its own pid file that it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def stop(self) -> None:
        """Fast stop: sessions are cut, all is written, the server ends; harder when that takes over 20 seconds."""
        process, self.process = self.process, None
        if process is None:
            return
        for number, patience in ((FAST_STOP, 20.0), (IMMEDIATE_STOP, 5.0), (signal.SIGKILL, 5.0)):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)

    def kill(self) -> None:
        """Kill the postmaster with -9, as a crash would; `clear_leftovers` and `start` bring it back."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart_after_crash(self) -> None:
        """Start again on the same port after the server died."""
        self.clear_leftovers()
        self.start()

    def close(self) -> None:
        """Stop the server and let go of the folder; a temporary one is removed."""
        if self._throw_away:
            self.kill()
            end(all_working_in(self.data), [(signal.SIGKILL, 5.0)])
            shutil.rmtree(self.home, ignore_errors=True)
        else:
            self.stop()
        self._held.close()
        self._holding = False

    def clear_leftovers(self) -> None:
        """End what an earlier owner of this folder left running, and drop a pid file that names nobody of ours.

        We hold the folder's lock, so whoever still works in it has lost its owner. PostgreSQL itself takes any process
        that got the old number for its predecessor, and refuses to start while a killed postmaster's backends live.
        """
        pid_file = self.data / "postmaster.pid"
        try:
            postmaster = abs(int(pid_file.read_text().splitlines()[0]))
        except (FileNotFoundError, IndexError, ValueError):
            postmaster = 0
        if postmaster and works_in(postmaster, self.data):
            end([postmaster], [(FAST_STOP, 20.0), (IMMEDIATE_STOP, 5.0), (signal.SIGKILL, 5.0)])
        orphans = all_working_in(self.data)
        if orphans and not wait_until(lambda: not any(map(is_alive, orphans)), 1.0):
            end(orphans, [(IMMEDIATE_STOP, 2.0), (signal.SIGKILL, 5.0)])
        pid_file.unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Make the data directory under another name and rename it, so that a kill leaves a whole one or none."""
        making, password_file = self.home / "data.making", self.home / "password.making"
        shutil.rmtree(making, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        making.mkdir(mode=0o700)
        password_file.touch(0o600, exist_ok=False)
        password_file.write_text(self.password)
        for path in (making, password_file):
            give_to(path, lesser_user())
        options = [
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--encoding=UTF8",
            "--auth=scram-sha-256",
            "--no-instructions",
        ]
        line = [str(programs() / "initdb"), "-D", str(making), "-U", SUPERUSER, f"--pwfile={password_file}", *options]
        line += [] if self.fsync else ["--no-sync"]
        done = subprocess.run(
            tethered(line, farewell=signal.SIGKILL, run_as=lesser_user()),
            capture_output=True,
            text=True,
            cwd=self.home,
            check=False,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise CannotStart(f"PostgreSQL could not make its data directory: {done.stderr.strip().splitlines()[-1]}")
        making.rename(self.data)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(f"Port {port} on 127.0.0.1, meant for PostgreSQL, is taken by another program.") from error
