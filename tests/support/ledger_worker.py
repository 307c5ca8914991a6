"""A worker as a process for the kill loop: what it does to an item is one row in a ledger, so doing it twice or never shows.

The environment says where and how: LEDGER_URL, LEDGER_LEASE (seconds), and LEDGER_ORDER:
    fenced        as the house does it: the fence first, then the work of what it returned, in one commit
    unfenced      the fence's answer is ignored: the control that doubles after a pause
    work_first    the work in one commit, the end of the task in a later one: the control that doubles after a crash
    finish_first  the end of the task in one commit, the work in a later one: the control that loses after a crash
"""

import asyncio
import os
import random
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.clock import DatabaseClock
from shared.database import Database
from shared.failpoints import failpoint
from shared.process import serve_worker
from shared.tasks import Claim, Handler, Lane, Tasks, Worker
from tests.support.mechanisms import task_tables

STEP_SECONDS = 0.25  # long enough that a blow mostly falls on work in hand
_WRITE = text("INSERT INTO ledger (item) SELECT unnest(CAST(:items AS uuid[]))")


class Ledger:
    """Writes the items of its tasks down."""

    def __init__(self, database: Database, tasks: Tasks, order: str) -> None:
        self._database, self._tasks, self._order = database, tasks, order

    async def __call__(self, claims: Sequence[Claim]) -> None:
        """One set of claims."""
        if any(claim.payload.get("poison") for claim in claims):
            os._exit(137)
        await asyncio.sleep(random.uniform(0.0, STEP_SECONDS))
        await failpoint("ledger.before_commit")
        if self._order == "work_first":
            async with self._database.transaction() as conn:
                await self._write(conn, claims)
            await failpoint("ledger.between_commits")
        async with self._database.transaction() as conn:
            held = await self._tasks.finish(conn, claims)
            if self._order == "fenced":
                await self._write(conn, [claim for claim in claims if claim.id in held])
            if self._order == "unfenced":
                await self._write(conn, claims)
        if self._order == "finish_first":
            await failpoint("ledger.between_commits")
            async with self._database.transaction() as conn:
                await self._write(conn, [claim for claim in claims if claim.id in held])
        await failpoint("ledger.after_commit")

    async def _write(self, conn: AsyncConnection, claims: Sequence[Claim]) -> None:
        await conn.execute(_WRITE, {"items": [claim.ref for claim in claims]})


async def main() -> None:
    """Work until SIGTERM."""
    database = Database(os.environ["LEDGER_URL"], pool_size=4)
    tasks = Tasks(task_tables, lease_seconds=float(os.environ["LEDGER_LEASE"]))
    handle = Ledger(database, tasks, os.environ["LEDGER_ORDER"])

    async def ready() -> dict[str, bool]:
        return {}

    worker = Worker(database, tasks, DatabaseClock(), [Lane("items", [Handler("item", handle)], batch=3)])
    await serve_worker(worker, ready, port=None)
    await database.dispose()


if __name__ == "__main__":
    asyncio.run(main())
