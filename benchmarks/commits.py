"""Redemption's two commits of a set of 64, as the service executes them, with or without the rows of its tasks.

A process of its own (`python -m benchmarks.commits`): accept and settle are called as the API calls them, with the catalog's
answer taken for granted, in a copy of redemption's database.
"""

import asyncio
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, cast

import psycopg
import uvloop
from fastapi import Request

from benchmarks import scenery
from benchmarks.alternating import Side, Stretch
from benchmarks.child import Child
from benchmarks.lab import COPIES, Lab
from services.redemption.customers import store as customers
from services.redemption.customers.domain import Customer
from services.redemption.metadata import task_tables
from services.redemption.offers.domain import Offer
from services.redemption.parts import Parts, make_parts
from services.redemption.redemptions.answers import AnswerWriter
from services.redemption.redemptions.domain import Event, Line
from services.redemption.redemptions.use_cases.accept import Accepted, accept
from services.redemption.redemptions.use_cases.commands import Redeem
from services.redemption.redemptions.use_cases.drive import Step, settle
from services.redemption.settings import Settings
from shared.audit import Actor
from shared.idempotency import Attempt
from shared.identity import Principal
from shared.ids import new_id
from shared.settings import load
from shared.tasks import Claim, NewTask, Tasks

SET, FLOWS = 64, 2
OFFERS = "BENCHMARK_OFFERS"


class NoTasks(Tasks):
    """Writes no row: every task is taken for written, and every lease for held."""

    async def add(self, conn: object, new: Sequence[NewTask]) -> list[Claim]:  # noqa: ARG002 - as the real one has it
        """The claims that the real one would give."""
        return [Claim(new_id(), t.kind, t.ref, t.payload, 1, 0, t.run_at) for t in new if t.leased_seconds]

    async def finish(self, conn: object, claims: Iterable[Claim]) -> set[uuid.UUID]:  # noqa: ARG002 - as the real one has it
        """Everything is still held."""
        return {claim.id for claim in claims}


class Committing:
    """Sets of redemptions, one after the other in two flows."""

    def __init__(self, parts: Parts, people: Sequence[Customer], offers: Sequence[Offer]) -> None:
        self._parts = parts
        self._people = people
        self._offers = offers
        self._without = replace(parts, tasks=cast("Any", NoTasks(task_tables, lease_seconds=parts.tasks.lease_seconds)))
        self._random = random.Random(1)  # noqa: S311 - spreads load, guards nothing
        request = Request(
            {"type": "http", "method": "POST", "path": "/v1/redemptions", "headers": [(b"accept-language", b"en")]}
        )
        self._writer = AnswerWriter(request, Principal("customer", "", "", "", frozenset()))

    async def run(self, seconds: float, *, with_tasks: bool) -> Stretch:
        """So many seconds of it."""
        parts = self._parts if with_tasks else self._without
        started = time.perf_counter()
        counts = await asyncio.gather(*(self._flow(parts, half, started + seconds) for half in range(FLOWS)))
        return Stretch(sum(counts), time.perf_counter() - started)

    async def _flow(self, parts: Parts, half: int, until: float) -> int:
        """Each flow has customers of its own, so that none waits for another."""
        people, count = self._people[half::FLOWS], 0
        while time.perf_counter() < until:
            commands = [self._command(person) for person in self._random.sample(people, SET)]
            async with parts.database.transaction() as conn:
                outcomes = await accept(parts, conn, commands, wait=True)
            accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
            steps = [Step(a.redemption, a.lines, a.claim, Event.RESERVED, command=a.command) for a in accepted]
            async with parts.database.transaction() as conn:
                count += len(await settle(parts, conn, steps))
        return count

    def _command(self, person: Customer) -> Redeem:
        offer = self._random.choice(self._offers)
        return Redeem(
            id=new_id(),
            attempt=Attempt(self._random.randbytes(32), self._random.randbytes(32)),
            customer=person,
            campaign=offer.campaign,
            lines=(Line(1, offer, 1),),
            actor=Actor(f"customer:{person.subject}", "mobile-app"),
            writer=self._writer,
        )


async def commit_sides(lab: Lab, stack: AsyncExitStack) -> tuple[Side, Side]:
    """The two sides, in a process that ends with the stack."""
    with psycopg.connect(lab.suite.postgres().url(COPIES["redemption"])) as conn:
        offers = conn.execute("SELECT to_jsonb(o) FROM bench.offers o ORDER BY number").fetchall()
    environment = lab.suite.service_environment("redemption")
    address = environment["REDEMPTION_DATABASE_URL"].rpartition("/")[0] + "/" + COPIES["redemption"]
    values = {**environment, "REDEMPTION_DATABASE_URL": address, OFFERS: json.dumps([row for (row,) in offers])}
    child = await stack.enter_async_context(Child("benchmarks.commits", values))

    def side(*, with_tasks: bool) -> Side:
        async def run(seconds: float) -> Stretch:
            found = await child.tell({"seconds": seconds, "with_tasks": with_tasks})
            return Stretch(found["count"], found["seconds"])

        return run

    return side(with_tasks=True), side(with_tasks=False)


def _offer(row: dict[str, Any]) -> Offer:
    return Offer(
        id=uuid.UUID(row["offer_id"]),
        version=row["offer_version"],
        campaign=row["campaign"],
        reward={"code": row["code"], "names": row["names"], "kind": "e_voucher"},
        voucher=None,
        price_points=row["unit_points"],
        per_customer=row["per_customer"],
        per_day=row["per_day"],
    )


async def _committing(settings: Settings) -> Committing:
    parts = make_parts(settings)
    subjects = [(settings.issuer, scenery.subject(number)) for number in range(1, scenery.CUSTOMERS + 1)]
    async with parts.database.transaction() as conn:
        people = await customers.find_by_identity(conn, subjects)
    return Committing(parts, list(people.values()), [_offer(row) for row in json.loads(os.environ[OFFERS])])


async def main() -> None:
    """Carry out what the lines of standard input say, until it ends."""
    committing = await _committing(load(Settings))
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        found = await committing.run(order["seconds"], with_tasks=order["with_tasks"])
        print(json.dumps({"count": found.count, "seconds": found.seconds}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
