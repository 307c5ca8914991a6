"""Our launcher: as root and as a user, behind closed folders, and after kill -9 of anything."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest

from deploy.local.binaries import PACKAGE, RELEASE, programs
from deploy.local.failure import CannotStart
from deploy.local.folders import lesser_user
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.processes import all_working_in, is_alive, wait_until
from deploy.local.supervisor import listen
from tests.integration.local.conftest import modes_above

CHECKOUT = Path(__file__).parents[3]
PASSWORD = "of-a-test"


def server_of(folder: Path, port: int = 0) -> EmbeddedPostgres:
    return EmbeddedPostgres.of(folder / ".huangou", password=PASSWORD, port=port, fsync=False)


@pytest.mark.proves("X8")
def test_it_starts_behind_closed_folders_and_opens_none_of_them(closed_folder: Path) -> None:
    before = modes_above(closed_folder)
    with server_of(closed_folder) as server, psycopg.connect(server.url()) as conn:
        assert conn.execute("SHOW server_version_num").fetchone()[0].startswith("18")  # type: ignore[index]
        provider = conn.execute("SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'postgres'").fetchone()
        assert provider == ("b", "C.UTF-8")
        user = lesser_user()
        if user:  # root's processes run as nobody
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in all_working_in(server.data)} == {user[0]}
    assert modes_above(closed_folder) == before
    assert (closed_folder / ".huangou").stat().st_mode & 0o777 == 0o700


def test_a_wrong_password_is_refused_and_only_loopback_is_listened_to(closed_folder: Path) -> None:
    with server_of(closed_folder) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(password="wrong"))
        with psycopg.connect(server.url()) as conn:
            assert conn.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
            assert conn.execute("SHOW unix_socket_directories").fetchone() == ("",)
            assert conn.execute("SHOW max_connections").fetchone() == ("200",)


@pytest.mark.proves("X8")
def test_data_survives_kill_9_of_the_postmaster_and_of_everything(closed_folder: Path) -> None:
    with server_of(closed_folder) as server:
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
        assert server.process is not None
        for pid in all_working_in(server.data):
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
        assert (server.data / "postmaster.pid").exists()
        server.restart_after_crash()
        with psycopg.connect(server.url()) as conn:
            assert conn.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_backend_that_outlives_its_postmaster_does_not_stop_the_next_start(closed_folder: Path) -> None:
    with server_of(closed_folder) as server:
        with psycopg.connect(server.url()) as conn:
            backend = conn.info.backend_pid
            os.kill(backend, signal.SIGSTOP)  # so that it cannot notice
            server.kill()
            began = time.monotonic()
            server.restart_after_crash()
            assert time.monotonic() - began < 10
        assert not is_alive(backend)


def test_a_pid_file_whose_number_went_to_another_process_is_not_believed(closed_folder: Path) -> None:
    with server_of(closed_folder) as server:
        server.kill()
        pid_file = server.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        server.restart_after_crash()
        with psycopg.connect(server.url()) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


OWNER = """
    import sys, time
    from pathlib import Path
    from deploy.local.postgres import EmbeddedPostgres
    server = EmbeddedPostgres.of(Path(sys.argv[1]), password="of-a-test", port=0, fsync=False)
    with server:
        print(server.process.pid, server.data, flush=True)
        time.sleep(600)
"""


def start_owner(state: Path) -> tuple[subprocess.Popen[str], int, Path]:
    """A process of its own that holds a server; itself, the postmaster's id, the data directory."""
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(state)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    assert owner.stdout is not None
    pid, data = owner.stdout.readline().split()
    return owner, int(pid), Path(data)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the children of the dead on Linux only")
def test_the_server_stops_by_itself_when_its_owner_is_killed_and_the_next_one_starts(closed_folder: Path) -> None:
    state = closed_folder / ".huangou"
    owner, postmaster, data = start_owner(state)
    with pytest.raises(CannotStart, match=f"in use by process {owner.pid}"):
        server_of(closed_folder).prepare()
    owner.kill()
    owner.communicate()
    assert wait_until(lambda: not is_alive(postmaster) and not all_working_in(data), 10)
    with server_of(closed_folder) as server:
        assert server.data == data


def test_an_orphaned_server_is_stopped_and_its_data_taken_over(closed_folder: Path) -> None:
    owner, postmaster, _ = start_owner(closed_folder / ".huangou")
    os.kill(postmaster, signal.SIGSTOP)  # it will not hear that its owner died until it is continued
    owner.kill()
    owner.communicate()
    assert is_alive(postmaster)
    os.kill(postmaster, signal.SIGCONT)
    with server_of(closed_folder) as server, psycopg.connect(server.url()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert not is_alive(postmaster)


def test_a_taken_port_is_said_in_a_sentence(closed_folder: Path) -> None:
    with listen(0, "a stranger") as stranger, pytest.raises(CannotStart, match=r"Port \d+ .* is taken"):
        server_of(closed_folder, stranger.getsockname()[1]).__enter__()


def test_too_little_disk_is_said_in_a_sentence(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.folders.FREE_BYTES_MIN", 2**62)
    with pytest.raises(CannotStart, match="MiB are free where"):
        server_of(closed_folder).__enter__()


def test_a_first_start_that_was_killed_half_way_is_begun_again(closed_folder: Path) -> None:
    server = server_of(closed_folder)
    (server.home / "data.making").mkdir()
    (server.home / "data.making" / "PG_VERSION").write_text("18")
    with server:
        assert not (server.home / "data.making").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps its data elsewhere")
def test_data_whose_keys_were_deleted_is_not_taken_up_again_nor_removed(closed_folder: Path) -> None:
    first = server_of(closed_folder)
    shutil.rmtree(closed_folder / ".huangou")
    second = server_of(closed_folder)
    assert second.home != first.home
    assert first.home.exists()
    assert server_of(closed_folder).home == second.home


def test_a_temporary_server_leaves_nothing(closed_folder: Path) -> None:
    with EmbeddedPostgres.temporary() as server:
        home, data = server.home, server.data
        with psycopg.connect(server.url()) as conn:
            assert conn.execute("SHOW fsync").fetchone() == ("off",)
    assert not home.exists()
    assert wait_until(lambda: not all_working_in(data), 5)


def python_for_anybody() -> str | None:
    """A Python of 3.11 or newer that a user without rights can run."""
    check = "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            if (
                subprocess.run([candidate, "-c", check], user=65534, group=65534, capture_output=True, check=False).returncode
                == 0
            ):
                return candidate
        except OSError:
            continue
    return None


@pytest.mark.proves("X8")
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all the other tests as one")
def test_an_ordinary_user_runs_it_in_a_folder_of_their_own(system_state: Path) -> None:
    python = python_for_anybody()
    if python is None:
        pytest.skip("no Python on this machine that an ordinary user may run")
    place = system_state / "ordinary"
    package = programs().parents[1]  # copied to where everybody can read, for root; so is our code
    shutil.copytree(package / RELEASE, place / PACKAGE / RELEASE)
    shutil.copytree(package.with_name(f"{PACKAGE}.libs"), place / f"{PACKAGE}.libs")
    shutil.copytree(CHECKOUT / "deploy", place / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    state = place / "home" / ".huangou"
    state.parent.mkdir(mode=0o700)
    os.chown(state.parent, 65534, 65534)
    script = """
        import os, sys
        from pathlib import Path
        from deploy.local.postgres import EmbeddedPostgres
        server = EmbeddedPostgres.of(Path(sys.argv[1]), password="of-a-test", port=0)
        with server:
            server.kill()
            server.restart_after_crash()
            print(os.geteuid(), server.data, oct(server.data.stat().st_mode & 0o777))
    """
    done = subprocess.run(
        [python, "-c", textwrap.dedent(script), str(state)],
        user=65534, group=65534, extra_groups=[], cwd=place, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["65534", str(state / "data"), "0o700"], done.stderr
