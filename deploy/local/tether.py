"""Becomes another program that the kernel ends when the one who started it dies; run by path, imports little.

Usage: tether.py SIGNAL PARENT USER GROUP program arguments…   (USER -1: stay who you are)

Linux's PR_SET_PDEATHSIG needs nothing from the program itself, so PostgreSQL and uvicorn are held by the same tether.
It is asked for after the user has changed (the change would clear it) and before the program replaces this one (which
keeps it). Elsewhere the program runs untethered, and the next start ends what it finds.
"""

import ctypes  # before stepping down: afterwards the interpreter's own folder may be out of reach
import os
import sys

PR_SET_PDEATHSIG = 1


def become(arguments: list[str]) -> None:
    """Step down to the user, tie this process to its parent, and turn into the program."""
    farewell, parent, user, group = (int(number) for number in arguments[:4])
    kernel = ctypes.CDLL(None) if sys.platform == "linux" else None
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    os.umask(0o077)
    if kernel:
        kernel.prctl(PR_SET_PDEATHSIG, farewell, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(f"process {parent}, which started this, is gone")
    os.execv(arguments[4], arguments[4:])  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    become(sys.argv[1:])
