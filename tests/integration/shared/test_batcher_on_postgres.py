"""The batcher on a real PostgreSQL: one commit for many, the bad one found, a deadlock survived."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from shared.batcher import Batcher
from shared.sets import insert_rows
from tests.support.mechanisms import Mechanisms, ledger

pytestmark = pytest.mark.anyio


async def test_many_commands_share_a_commit_and_only_the_bad_one_is_refused(mechanisms: Mechanisms) -> None:
    mechanisms.as_owner("ALTER TABLE ledger ADD CONSTRAINT ck_ledger_good CHECK (name <> 'bad')")

    async def run(names: Sequence[str]) -> Sequence[str]:
        async def work(conn: object) -> Sequence[str]:
            await insert_rows(conn, ledger, [{"name": name} for name in names])
            return names

        return await mechanisms.database.run(work)

    batcher: Batcher[str, str] = Batcher(run)
    names = [f"good {n}" for n in range(100)]
    names[37] = "bad"
    outcomes = await asyncio.gather(*[batcher.submit(name) for name in names], return_exceptions=True)
    assert isinstance(outcomes[37], IntegrityError)
    assert [o for n, o in enumerate(outcomes) if n != 37] == [n for n in names if n != "bad"]
    [(rows, commits)] = await mechanisms.rows("SELECT count(*), count(DISTINCT xmin::text) FROM ledger")
    assert rows == 99
    assert commits < 20


@pytest.mark.proves("G33")
async def test_sets_that_deadlock_are_tried_again_and_all_go_through(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        await insert_rows(conn, ledger, [{"item": UUID(int=n), "name": "0"} for n in (1, 2)])
    first_has_locked, met = asyncio.Event(), []

    async def run(commands: Sequence[Sequence[int]]) -> Sequence[None]:
        async with mechanisms.database.transaction() as conn:
            for place, n in enumerate(commands[0]):
                statement = "UPDATE ledger SET name = (name::int + 1)::text WHERE item = :item"
                await conn.execute(text(statement), {"item": UUID(int=n)})
                met.append(n)
                if place == 0 and not first_has_locked.is_set():
                    while len(met) < 2:  # until the other one has its first row too
                        await asyncio.sleep(0.01)
                    first_has_locked.set()
        return [None]

    batcher: Batcher[Sequence[int], None] = Batcher(run, size_max=1)
    await asyncio.gather(batcher.submit((1, 2)), batcher.submit((2, 1)))
    assert len(met) > 4 - 1
    assert await mechanisms.rows("SELECT name FROM ledger") == [("2",), ("2",)]


async def test_submitting_inside_a_transaction_is_refused(mechanisms: Mechanisms) -> None:
    async def run(commands: Sequence[int]) -> Sequence[int]:
        return commands

    async with mechanisms.database.transaction():
        with pytest.raises(RuntimeError, match="outside"):
            await Batcher(run).submit(1)
