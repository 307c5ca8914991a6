"""The figures: what is divided by what, and the aim."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks import copies, rows, scenery
from benchmarks.alternating import Ratio, Side, Stretch, alternate
from benchmarks.child import Child
from benchmarks.commits import commit_sides
from benchmarks.lab import Lab
from benchmarks.loading import redeem_in_bulk
from benchmarks.pgbench import Pgbench
from benchmarks.requests import Requests
from deploy.local.failure import CannotStart

USES_PER_SECOND_MAX = 3_000
USES_ALONE_PER_SECOND_MAX = 12_000
READERS = 64
NOT_ISSUED = "SELECT FROM redemptions WHERE state IN ('accepted', 'confirmed')"


@dataclass(frozen=True)
class Bench:
    """What every figure works with."""

    lab: Lab
    load: Child
    requests: Requests
    redeeming_alone: Pgbench
    seconds: float

    async def alternate(self, first: Side, second: Side) -> Ratio:
        """Measure two sides in turn."""
        return await alternate(first, second, seconds=self.seconds)

    def sending(self, file: str, service: str, connections: int, *, expect: int) -> Side:
        """Load on a service's port. Raises CannotStart at any answer of another status."""
        ports = self.lab.suite.ports
        port = self.lab.port_of(service) if service in ("hello", "empty") else ports.api(service)

        async def send(seconds: float) -> Stretch:
            order = {"requests": file, "port": port, "connections": connections, "seconds": seconds}
            found = await self.load.tell(order)
            if set(found["statuses"]) != {str(expect)}:
                raise CannotStart(f"{service} answered {found['statuses']}: {found['samples']}")
            facts = {"p50_ms": found["p50_ms"], "p99_ms": found["p99_ms"], "generator_cpu": found["cpu"]}
            return Stretch(found["statuses"][str(expect)], found["seconds"], facts)

        return send


async def redeem(bench: Bench, connections: int) -> Ratio:
    """Confirmed redemptions; the workers rest, and what is left to hand out is handed out afterwards."""
    file = bench.requests.redeeming(scenery.main_offers())
    async with bench.lab.without_workers():
        return await bench.alternate(bench.sending(file, "redemption", connections, expect=201), bench.redeeming_alone.run)


async def drained(bench: Bench) -> Ratio:
    """Redemptions whose vouchers are issued, all workers at work; a stretch ends when its last voucher is."""
    lab = bench.lab
    send = bench.sending(bench.requests.redeeming(scenery.main_offers()), "redemption", 64, expect=201)

    async def until_issued(seconds: float) -> Stretch:
        started = time.monotonic()
        sent = await send(seconds)
        await lab.until_none(NOT_ISSUED, ["redemption"], look_every_seconds=0.05)
        ended = time.monotonic()
        await lab.quiet()  # the last word to the catalog is not waited for by any customer
        return Stretch(sent.count, ended - started, sent.facts)

    return await bench.alternate(until_issued, bench.redeeming_alone.run)


async def against_empty(bench: Bench) -> Ratio:
    """The same requests to redemption, and to an application that answers without a database."""
    file = bench.requests.redeeming(scenery.main_offers())
    async with bench.lab.without_workers():
        return await bench.alternate(
            bench.sending(file, "redemption", 64, expect=201), bench.sending(file, "empty", 64, expect=201)
        )


async def hot_against_many(bench: Bench) -> Ratio:
    """Everybody wants the same reward, against a thousand rewards of a hundred campaigns."""
    hot = bench.requests.redeeming(scenery.offers_of(scenery.HOT, 1))
    many = bench.requests.redeeming(scenery.many_offers())
    async with bench.lab.without_workers():
        return await bench.alternate(
            bench.sending(hot, "redemption", 64, expect=201), bench.sending(many, "redemption", 64, expect=201)
        )


async def voucher_use(bench: Bench) -> Ratio:
    """Vouchers used at tills, each once."""
    lab, seconds = bench.lab, bench.seconds + 10.0
    wanted = int(seconds * USES_PER_SECOND_MAX)
    there = (await lab.ask("fulfillment", "SELECT count(*) FROM vouchers WHERE state = 'issued'"))[0][0]
    await redeem_in_bulk(lab.speaker, max(0, -(-(wanted - there) // 1_000)))
    await lab.quiet()
    alone = await asyncio.to_thread(copies.uses_alone, lab, vouchers=int(seconds * USES_ALONE_PER_SECOND_MAX))
    await rows.compare_use(lab, bench.requests.codes(1)[0])
    file = bench.requests.using(wanted)
    async with lab.without_workers():
        return await bench.alternate(bench.sending(file, "fulfillment", 64, expect=200), alone.run)


async def reading(bench: Bench, path: str, *, known: bool) -> Ratio:
    """A page that every customer reads, new or known to the caller, against a bare application."""
    headers, status = "", 200
    if known:
        answer = await bench.lab.speaker.call("GET", "catalog", path, who=scenery.subject(1), headers={"Accept-Language": "en"})
        headers, status = f"If-None-Match: {answer.headers['etag']}\r\n", 304
    file = bench.requests.reading(path, headers)
    async with bench.lab.without_workers():
        return await bench.alternate(
            bench.sending(file, "catalog", READERS, expect=status),
            bench.sending(bench.requests.greeting(), "hello", READERS, expect=200),
        )


async def commit_with_tasks(bench: Bench) -> Ratio:
    """Redemption's two commits of a set as the service executes them, with and without the rows of its tasks."""
    async with bench.lab.without_workers(), AsyncExitStack() as stack:
        first, second = await commit_sides(bench.lab, stack)
        return await bench.alternate(first, second)


@dataclass(frozen=True)
class Figure:
    """A name, an aim, and how it is measured."""

    name: str
    aim: float
    measure: Callable[[Bench], Awaitable[Ratio]]


LIST = f"/v1/campaigns/{scenery.MAIN}/offers?limit=20"
OFFER = f"/v1/offers/{scenery.main_offers()[0][1]}"
FIGURES = (
    Figure("redeem_64", 0.35, lambda bench: redeem(bench, 64)),
    Figure("redeem_128", 0.45, lambda bench: redeem(bench, 128)),
    Figure("drained_64", 0.2, drained),
    Figure("redeem_vs_empty", 0.45, against_empty),
    Figure("hot_vs_many", 0.8, hot_against_many),
    Figure("voucher_use_64", 0.0, voucher_use),
    Figure("list_200", 0.85, lambda bench: reading(bench, LIST, known=False)),
    Figure("list_304", 0.95, lambda bench: reading(bench, LIST, known=True)),
    Figure("offer_200", 0.9, lambda bench: reading(bench, OFFER, known=False)),
    Figure("commit_with_tasks", 0.9, commit_with_tasks),
)
