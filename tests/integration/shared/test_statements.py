"""Statements by the short way: the same transaction, the same errors, and one round trip for those that belong together."""

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from shared.database import is_data_error
from shared.statements import execute, fetch, fetch_named, together
from tests.support.mechanisms import Mechanisms

pytestmark = pytest.mark.anyio
WRITE = text("INSERT INTO ledger (name) SELECT name FROM unnest(CAST(:names AS text[])) AS name")
COUNT = text("SELECT count(*) AS number, min(name) AS first FROM ledger")
BROKEN = text("SELECT CAST(:phone AS int) / 0")


async def test_rows_come_with_their_columns_as_attributes_or_by_name(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        await execute(conn, WRITE, {"names": ["a", "b"]})
        [row] = await fetch(conn, COUNT, {})
        assert (row.number, row.first) == (2, "a")
        assert await fetch_named(conn, COUNT, {}) == [{"number": 2, "first": "a"}]
        odd = text("SELECT :n + :n AS twice, CAST('a:b' AS text) AS colon, '{1}'::int[] AS cast")
        assert tuple((await fetch(conn, odd, {"n": 2}))[0]) == (4, "a:b", [1])


async def test_what_belongs_together_is_done_in_its_order_and_all_of_it(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        async with together(conn):
            await execute(conn, WRITE, {"names": ["a"]})
            await execute(conn, text("UPDATE ledger SET name = name || '!'"), {})
            assert (await fetch(conn, COUNT, {}))[0].first == "a!"
            await execute(conn, WRITE, {"names": ["z"]})
        assert (await fetch(conn, COUNT, {}))[0].number == 2
    assert await mechanisms.value("SELECT count(*) FROM ledger") == 2


async def test_one_that_fails_undoes_all_and_is_told_as_sqlalchemy_tells_it(mechanisms: Mechanisms) -> None:
    mechanisms.as_owner("CREATE UNIQUE INDEX ON ledger (name)")

    async def write() -> None:
        async with mechanisms.database.transaction() as conn, together(conn):
            await execute(conn, WRITE, {"names": ["a"]})
            await execute(conn, WRITE, {"names": ["a"]})
            await execute(conn, WRITE, {"names": ["b"]})

    with pytest.raises(IntegrityError) as caught:
        await write()
    assert is_data_error(caught.value)
    assert await mechanisms.value("SELECT count(*) FROM ledger") == 0


async def test_an_error_shows_no_value(mechanisms: Mechanisms) -> None:
    for how in (fetch, execute):
        with pytest.raises(DataError) as caught:
            async with mechanisms.database.transaction() as conn:
                await how(conn, BROKEN, {"phone": "13812345678999"})
        assert "[parameters" not in str(caught.value)
        assert isinstance(caught.value, DBAPIError)


async def test_whoever_watches_statements_sees_these_too(mechanisms: Mechanisms) -> None:
    seen: list[str] = []
    engine = mechanisms.database.engine.sync_engine

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    async with mechanisms.database.transaction() as conn:
        await fetch(conn, COUNT, {})
        await conn.execute(COUNT)
    event.remove(engine, "before_cursor_execute", note)
    assert seen == [COUNT.text, COUNT.text]
