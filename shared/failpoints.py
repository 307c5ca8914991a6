"""Named points at which a test can make a process die, stall or fail.

`HUANGOU_FAILPOINTS="confirm.before_commit:exit,fulfil.after_call:sleep=30"` arms them; in production the variable is absent
and a point costs one look into an empty dictionary.
"""

import asyncio
import os
import time


class FailpointHit(Exception):
    """A failpoint armed with `raise` was reached."""


def _armed() -> dict[str, str]:
    spec = os.environ.get("HUANGOU_FAILPOINTS", "")
    return dict(part.split(":", 1) for part in spec.split(",") if ":" in part)


_points: dict[str, str] = _armed()
known: set[str] = set()
"""Every point that this process has passed, so that a test can list them."""


def arm(**points: str) -> None:
    """Replace what is armed in this process: names with `__` for `.`, actions `exit`, `raise` or `sleep=SECONDS`."""
    _points.clear()
    _points.update({name.replace("__", "."): action for name, action in points.items()})


async def failpoint(name: str) -> None:
    """Do what the test armed for this point, else nothing. `exit` dies at once, as kill -9 would."""
    known.add(name)
    action = _points.get(name)
    if action is None:
        return
    if action == "exit":
        os._exit(137)
    if action == "raise":
        raise FailpointHit(name)
    if action.startswith("block="):
        time.sleep(float(action[6:]))  # noqa: ASYNC251 - stalls the whole process, as SIGSTOP would
    if action.startswith("sleep="):
        await asyncio.sleep(float(action[6:]))
