"""The load generator, a process of its own: `python -m benchmarks.load`, told by lines of JSON what to send where.

A line names a file of requests, a port, connections and seconds; the answer is a line with the counts, the latencies, and how
much of a core this process took.
"""

import itertools
import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.client import Round

NUMBER = "{number}"


def requests_of(spec: dict[str, Any]) -> Callable[[], bytes]:
    """A function that gives the next request.

    `heads` and `bodies` are put together at random, or pairwise and each once when `once` is set; `{number}` in a head
    becomes a number that no other request has.
    """
    heads = [tuple(part.encode() for part in head.split(NUMBER)) for head in spec["heads"]]
    bodies = [_with_length(body.encode()) for body in spec["bodies"]]
    run, numbers = uuid.uuid4().hex[:12].encode(), itertools.count(1)

    def filled(head: tuple[bytes, ...], body: bytes) -> bytes:
        return (head[0] if len(head) == 1 else b"%b%b-%d%b" % (head[0], run, next(numbers), head[1])) + body

    if spec.get("once"):
        pairs = iter(zip(heads, bodies, strict=True))
        return lambda: filled(*next(pairs))
    pick = random.Random(spec.get("seed", 1)).random  # noqa: S311 - spreads load, guards nothing
    many_heads, many_bodies = len(heads), len(bodies)
    return lambda: filled(heads[int(pick() * many_heads)], bodies[int(pick() * many_bodies)])


def _with_length(body: bytes) -> bytes:
    if not body:
        return b"\r\n"
    return b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def carry_out(order: dict[str, Any], make: Callable[[], bytes]) -> dict[str, Any]:
    """One stretch of load."""
    cpu = time.process_time()
    round_ = Round(make, seconds=order["seconds"])
    try:
        seconds = await round_.run("127.0.0.1", order["port"], order["connections"])
    except TimeoutError:
        return {"error": f"no answer; so far {dict(round_.statuses)}"}
    latencies = sorted(round_.latencies)
    return {
        "statuses": {str(status): count for status, count in round_.statuses.items()},
        "seconds": seconds,
        "cpu": (time.process_time() - cpu) / seconds,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
        "samples": round_.samples,
    }


def main() -> None:
    """Carry out what the lines of standard input say, until it ends."""
    makers: dict[str, Callable[[], bytes]] = {}
    for line in sys.stdin:
        order = json.loads(line)
        file = order["requests"]
        if file not in makers:
            makers[file] = requests_of(json.loads(Path(file).read_text()))
        answer = uvloop.run(carry_out(order, makers[file]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
