"""Many rows in one statement, and the audit rows that stand or fall with the change."""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from shared.audit import Actor, Audit, Entry
from shared.clock import DatabaseClock
from shared.ids import new_id
from shared.sets import as_json, insert_rows
from tests.support.mechanisms import Mechanisms, audit_entries, ledger

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
ODD = Table(
    "odd",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("order", String(5)),
    Column("raw", LargeBinary),
)


def actor(**values: object) -> Actor:
    return Actor(**{"name": "staff:p-1", "channel": "console", "reason": "a call", **values})


@pytest.mark.proves("G46")
async def test_a_change_and_its_audit_row_are_one_commit(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        await insert_rows(conn, ledger, [{"name": "changed"}])
        entry = Entry("ledger.changed", "ledger:1", actor(on_behalf_of="customer:9"), before=None, after={"点": 1})
        await Audit(audit_entries).record(conn, NOW, [entry, Entry("ledger.seen", "ledger:1", actor())])
    rows = await mechanisms.rows(
        "SELECT at, action, subject, actor, on_behalf_of, channel, reason, before, after FROM audit_entries ORDER BY id"
    )
    assert rows[0] == (
        NOW, "ledger.changed", "ledger:1", "staff:p-1", "customer:9", "console", "a call", None, {"点": 1},
    )  # fmt: skip
    assert len(rows) == 2


@pytest.mark.proves("G46")
async def test_when_the_audit_row_is_denied_the_change_is_undone(mechanisms: Mechanisms) -> None:
    mechanisms.as_owner("REVOKE INSERT ON audit_entries FROM mechanisms_service")

    async def change() -> None:
        async with mechanisms.database.transaction() as conn:
            await insert_rows(conn, ledger, [{"name": "changed"}])
            await Audit(audit_entries).record(conn, NOW, [Entry("ledger.changed", "ledger:1", actor())])

    with pytest.raises(ProgrammingError, match="permission denied"):
        await change()
    assert await mechanisms.value("SELECT count(*) FROM ledger") == 0


@pytest.mark.proves("G46")
@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries"]
)
async def test_the_service_cannot_change_what_stands_in_the_audit(mechanisms: Mechanisms, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        await mechanisms.database.run(lambda conn: conn.execute(text(statement)))


async def test_a_row_of_every_kind_of_column_comes_back_as_it_was(mechanisms: Mechanisms) -> None:
    mechanisms.as_owner('CREATE TABLE odd (id int PRIMARY KEY, "order" varchar(5), raw bytea)')
    mechanisms.as_owner("GRANT SELECT, INSERT ON odd TO mechanisms_service")
    rows = [{"id": n, "order": None if n == 2 else "a'b\"", "raw": bytes(range(n))} for n in range(4)]
    async with mechanisms.database.transaction() as conn:
        back = await insert_rows(conn, ODD, rows, tail='RETURNING id, "order"')
    assert sorted(tuple(row) for row in back) == [(n, None if n == 2 else "a'b\"") for n in range(4)]
    assert await mechanisms.value("SELECT raw FROM odd WHERE id = 3") == bytes(range(3))


async def test_what_is_too_long_for_its_column_is_refused_and_not_cut(mechanisms: Mechanisms) -> None:
    mechanisms.as_owner('CREATE TABLE odd (id int PRIMARY KEY, "order" varchar(5), raw bytea)')
    mechanisms.as_owner("GRANT SELECT, INSERT ON odd TO mechanisms_service")
    with pytest.raises(DBAPIError, match="too long"):
        await mechanisms.database.run(lambda conn: insert_rows(conn, ODD, [{"id": 1, "order": "sixteen"}]))


async def test_rows_with_other_columns_are_refused_before_anything_is_sent(mechanisms: Mechanisms) -> None:
    for second in ({"name": "b", "item": uuid.uuid4()}, {"item": uuid.uuid4()}, {}):
        with pytest.raises(ValueError, match="same columns"):
            await mechanisms.database.run(lambda conn, second=second: insert_rows(conn, ledger, [{"name": "a"}, second]))


async def test_no_rows_ask_nothing(mechanisms: Mechanisms) -> None:
    assert await mechanisms.database.run(lambda conn: insert_rows(conn, ledger, [])) == []


async def test_the_clock_is_the_databases_and_moves_inside_a_transaction(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        first = await DatabaseClock().now(conn)
        await conn.execute(text("SELECT pg_sleep(0.01)"))
        second = await DatabaseClock().now(conn)
        assert first < second
        assert first.tzinfo is not None


def test_json_is_written_small_and_readable() -> None:
    assert as_json({"苹": [1, None], "at": NOW}) == '{"苹":[1,null],"at":"2026-11-11T12:00:00Z"}'


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {i.version for i in ids} == {7}
