"""Where things lie on this machine: the folder of state, its lock, and the place where PostgreSQL may work."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.local.failure import CannotStart

FREE_BYTES_MIN = 512 * 1024 * 1024
MEMORY, MEMORY_BYTES_MIN = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - the folder is made as the others, with a name of its own
POINTER = "postgres-is-in"
TEMPORARY_SECONDS_MIN = 60  # younger ones may not be locked yet


def lesser_user() -> tuple[int, int] | None:
    """User and group that PostgreSQL steps down to: `nobody` under root, else None (it refuses to be root)."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def system_state() -> Path:
    """The folder outside root's own where a lesser user can work: /var/lib/huangou, or HUANGOU_SYSTEM_STATE."""
    folder = Path(os.environ.get("HUANGOU_SYSTEM_STATE", "/var/lib/huangou"))
    if not folder.is_dir():
        make_folder(folder, 0o755)
    return folder


def make_folder(folder: Path, mode: int) -> Path:
    """Make a folder with exactly this mode; one that is there keeps the mode that it has."""
    try:
        folder.mkdir(mode=mode, parents=True)
        folder.chmod(mode)  # whatever the umask says; ours alone, as it was made here
    except FileExistsError:
        pass
    except OSError as error:
        raise CannotStart(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return folder


def give_to(folder: Path, user: tuple[int, int] | None) -> None:
    """Hand a folder that we made to the lesser user, if there is one."""
    if user:
        os.chown(folder, *user)


def home_of(state: Path) -> Path:
    """The folder in which PostgreSQL keeps this state's data: the state itself, or under root the one it points to.

    A missing pointer means a new beginning: data that an earlier state left behind is never taken up, since the keys to
    it are gone.
    """
    make_folder(state, 0o700)
    user = lesser_user()
    if user is None:
        return state
    pointer = state / POINTER
    if pointer.exists():
        home = Path(pointer.read_text().strip())
        if home.is_dir():
            return home
    name = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    home, number = system_state() / name, 1
    while home.exists():
        number += 1
        home = system_state() / f"{name}-{number}"
    pointer.touch(0o600)
    pointer.write_text(f"{home}\n")  # first: a kill in between then leaves no folder without its pointer
    return make_folder(home, 0o711)  # root's own, which the lesser user may only pass through, to its data


def temporary_home(*, in_memory: bool = False) -> Path:
    """A new folder for a server that is thrown away, in memory where it is asked for and there is enough.

    Sweeps those whose owner is dead.
    """
    parent = system_state() if os.geteuid() == 0 else Path(tempfile.gettempdir())
    if in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        parent = MEMORY
    for left in parent.glob("huangou-temporary-*"):
        with contextlib.suppress(OSError, CannotStart):
            found = left.stat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > TEMPORARY_SECONDS_MIN:
                with locked(left, "postgres.lock"):
                    shutil.rmtree(left)
    home = Path(tempfile.mkdtemp(prefix="huangou-temporary-", dir=parent))
    if lesser_user():
        home.chmod(0o711)
    return home


@contextlib.contextmanager
def locked(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go when it dies. Raises CannotStart when another holds it."""
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            raise CannotStart(f"{folder} is in use by process {holder}; stop that one first.") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def require_free_disk(folder: Path) -> None:
    """Refuse to start where less than 512 MiB are free."""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise CannotStart(
            f"Only {free // 1024**2} MiB are free where {folder} lies, and {FREE_BYTES_MIN // 1024**2} MiB are needed."
        )
