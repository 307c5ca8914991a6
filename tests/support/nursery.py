"""A process that has imported the services once and forks one of their programs on request: a start in a tenth of a second.

A child is a process of its own that reads its environment as on any machine and can be killed, paused and told to stop; only
the imports are shared. Orders come as JSON lines on standard input, news go out as JSON lines on standard output. When the
one who gives orders dies, everything ends.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
from typing import Any

import uvicorn

from shared import failpoints

SERVICES = ("catalog", "redemption", "fulfillment")
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
PARTS = {f"{service} {part}": f"services.{service}.{part}" for service in SERVICES for part in ("app", "worker")}


def run(order: dict[str, Any]) -> None:
    """Be the program: `services.<service>.app` under uvicorn, or a worker's module."""
    module, port = order["module"], order.get("port")
    if port is not None:
        uvicorn.run(
            f"{module}:create", factory=True, host="127.0.0.1", port=port, access_log=False, timeout_graceful_shutdown=10
        )
        return
    importlib.import_module(module).main()


def be_born(order: dict[str, Any]) -> int:
    """Fork; the child runs the program with its own environment, log and failpoints, and never comes back from here."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    with contextlib.suppress(BaseException):
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(order["environment"])
        importlib.reload(failpoints)  # reads the environment, as a fresh process would
        try:
            run(order)
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
    sys.stderr.flush()
    os._exit(code)


def tell(**news: object) -> None:
    """One line to whoever gives orders."""
    os.write(1, (json.dumps(news) + "\n").encode())


def main() -> None:
    """Obey until the orders end; then end all children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the one who gives orders, and then us
    for module in PARTS.values():
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    news, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    alive: set[int] = set()
    tell(ready=True)
    pending = b""
    while True:
        readable, _, _ = select.select([0, news], [], [])
        if news in readable:
            os.read(news, 4096)
            while alive and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                alive.discard(ended[0])
                tell(ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))
        if 0 in readable:
            got = os.read(0, 65536)
            if not got:
                break
            *orders, pending = (pending + got).split(b"\n")
            for line in orders:
                alive.add(pid := be_born(json.loads(line)))
                tell(started=pid)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
