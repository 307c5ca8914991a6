"""The door to PostgreSQL: commits nobody can cancel, retries, limits, and an honest word when the server is gone."""

import asyncio
import time

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.local.postgres import EmbeddedPostgres
from shared.clock import DatabaseClock
from shared.database import RETRIES_MAX, Database, DatabaseUnavailable, Overloaded, in_transaction, is_data_error
from shared.http_client import AccessToken, ServiceClient, new_http_client
from tests.support.mechanisms import Mechanisms, make_mechanisms
from tests.support.postgres import TestServer

pytestmark = pytest.mark.anyio
WRITE = text("INSERT INTO ledger (name) VALUES ('here')")


async def written(mechanisms: Mechanisms) -> object:
    return await mechanisms.value("SELECT count(*) FROM ledger")


async def test_what_raises_inside_leaves_nothing_behind(mechanisms: Mechanisms) -> None:
    async def fail() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await written(mechanisms) == 0
    assert not in_transaction()


async def slow_commit(mechanisms: Mechanisms) -> None:
    """Make every commit that wrote to the ledger take half a second, in the server."""
    mechanisms.as_owner(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )


@pytest.mark.parametrize("cancels", [1, 3])
async def test_a_caller_cancelled_during_the_commit_still_hears_so_and_the_row_is_there(
    mechanisms: Mechanisms, cancels: int
) -> None:
    await slow_commit(mechanisms)
    committing = asyncio.Event()

    async def use_case() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)
            committing.set()

    caller = asyncio.create_task(use_case())
    await committing.wait()
    for _ in range(cancels):
        await asyncio.sleep(0.05)
        caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await written(mechanisms) == 1


async def test_a_time_limit_that_ends_during_the_commit_waits_for_it(mechanisms: Mechanisms) -> None:
    await slow_commit(mechanisms)

    async def use_case() -> None:
        async with asyncio.timeout(0.2), mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)

    with pytest.raises(TimeoutError):
        await use_case()
    assert await written(mechanisms) == 1


async def test_a_caller_cancelled_before_the_commit_leaves_nothing_and_gives_its_connection_back(
    postgres: TestServer,
) -> None:
    mechanisms = make_mechanisms(postgres, pool_size=1)

    async def use_case() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)
            await conn.execute(text("SELECT pg_sleep(3)"))

    for _ in range(3):
        caller = asyncio.create_task(use_case())
        await asyncio.sleep(0.2)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert await written(mechanisms) == 0
    await mechanisms.database.dispose()
    postgres.drop(mechanisms.place)


async def test_a_transaction_inside_a_transaction_is_refused(mechanisms: Mechanisms) -> None:
    async def nested() -> None:
        async with mechanisms.database.transaction(), mechanisms.database.transaction():
            pass

    with pytest.raises(RuntimeError, match="open already"):
        await nested()
    assert await written(mechanisms) == 0  # the next one is not held against us


async def test_transactions_beside_each_other_are_their_own(mechanisms: Mechanisms) -> None:
    async def one() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)

    await asyncio.gather(*[one() for _ in range(20)])
    assert await written(mechanisms) == 20


@pytest.mark.proves("G33")
async def test_a_deadlock_is_tried_again_and_both_go_through(mechanisms: Mechanisms) -> None:
    async with mechanisms.database.transaction() as conn:
        await conn.execute(text("INSERT INTO ledger (name) VALUES ('a'), ('b')"))
    tries, both = [], asyncio.Barrier(2)

    async def swap(first: str, second: str) -> None:
        async def work(conn: AsyncConnection) -> None:
            tries.append(first)
            await conn.execute(text("UPDATE ledger SET at = now() WHERE name = :n"), {"n": first})
            if len(tries) <= 2:
                await both.wait()
            await conn.execute(text("UPDATE ledger SET at = now() WHERE name = :n"), {"n": second})

        await mechanisms.database.run(work)

    await asyncio.gather(swap("a", "b"), swap("b", "a"))
    assert len(tries) == 3


@pytest.mark.proves("G33")
async def test_a_conflict_without_end_is_tried_three_times(mechanisms: Mechanisms) -> None:
    tries = []

    async def work(conn: AsyncConnection) -> None:
        tries.append(1)
        await conn.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(DBAPIError):
        await mechanisms.database.run(work)
    assert len(tries) == RETRIES_MAX


async def test_a_data_error_is_not_tried_again(mechanisms: Mechanisms) -> None:
    tries = []

    async def work(conn: AsyncConnection) -> None:
        tries.append(1)
        await conn.execute(text("INSERT INTO tasks (id) VALUES (NULL)"))

    with pytest.raises(IntegrityError) as caught:
        await mechanisms.database.run(work)
    assert is_data_error(caught.value)
    assert len(tries) == 1


@pytest.mark.proves("G33")
async def test_without_a_free_connection_the_caller_is_told_within_about_a_second(postgres: TestServer) -> None:
    mechanisms = make_mechanisms(postgres, pool_size=2)
    leave = asyncio.Event()

    async def sit() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(text("SELECT 1"))
            await leave.wait()

    sitting = [asyncio.create_task(sit()) for _ in range(2)]
    await asyncio.sleep(0.2)
    started = time.monotonic()
    with pytest.raises(Overloaded):
        await mechanisms.database.run(DatabaseClock().now)
    assert 0.8 < time.monotonic() - started < 2.5
    leave.set()
    await asyncio.gather(*sitting)
    await mechanisms.database.run(DatabaseClock().now)
    await mechanisms.database.dispose()
    postgres.drop(mechanisms.place)


@pytest.mark.proves("G33")
async def test_the_service_role_waits_for_nothing_for_long(mechanisms: Mechanisms) -> None:
    for name, value in (("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "15s")):
        assert await mechanisms.value(f"SHOW {name}") == value


@pytest.mark.proves("G33")
async def test_a_call_inside_a_transaction_is_refused_before_anything_is_sent(mechanisms: Mechanisms) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 300})

    async with new_http_client(httpx.MockTransport(answer)) as client:
        token = AccessToken(client, token_url="http://id/token", client_id="a", client_secret="b", scope="internal")
        neighbour = ServiceClient("catalog", "http://catalog", token, client)
        async with mechanisms.database.transaction():
            for call in (neighbour.get("/x"), neighbour.put("/x", {})):
                with pytest.raises(RuntimeError, match="inside a transaction"):
                    await call
        assert sent == []
        assert await neighbour.get("/x")


async def test_a_connection_cut_by_the_server_is_said_and_the_next_command_works(mechanisms: Mechanisms) -> None:
    def cut() -> None:
        with psycopg.connect(mechanisms.place.superuser_url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [mechanisms.place.name],
            )

    async def cut_in_the_middle() -> None:
        async with mechanisms.database.transaction() as conn:
            await conn.execute(WRITE)
            cut()
            await conn.execute(WRITE)

    with pytest.raises(DatabaseUnavailable):
        await cut_in_the_middle()
    assert await written(mechanisms) == 0


async def test_a_read_only_server_is_one_that_is_not_available(mechanisms: Mechanisms) -> None:
    """After a failover the pool may still point at the old server."""

    async def work(conn: AsyncConnection) -> None:
        await conn.execute(text("SET TRANSACTION READ ONLY"))
        await conn.execute(WRITE)

    with pytest.raises(DatabaseUnavailable):
        await mechanisms.database.run(work)


async def answers(database: Database) -> bool:
    try:
        await database.run(DatabaseClock().now)
    except DatabaseUnavailable:
        return False
    return True


async def test_a_server_that_dies_is_said_so_and_found_again_when_it_is_back() -> None:
    with EmbeddedPostgres.temporary() as server:
        database = Database(server.url())
        await database.run(DatabaseClock().now)
        server.kill()
        async with asyncio.timeout(10):
            while await answers(database):  # a killed postmaster's backends may go on for a moment
                await asyncio.sleep(0.1)
        started = time.monotonic()
        assert not await answers(database)
        assert time.monotonic() - started < 5
        server.restart_after_crash()
        await database.run(DatabaseClock().now)
        await database.dispose()


async def test_behind_a_pooler_nothing_is_prepared_on_the_server(mechanisms: Mechanisms) -> None:
    for pgbouncer, prepared in ((False, True), (True, False)):
        database = Database(mechanisms.place.owner_url, pool_size=1, pgbouncer=pgbouncer)  # straight to the server, always
        for _ in range(8):
            await database.run(DatabaseClock().now)
        async with database.transaction() as conn:
            found = (await conn.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one()
        assert (found > 0) is prepared
        await database.dispose()


async def test_the_text_of_an_error_holds_no_parameter(mechanisms: Mechanisms) -> None:
    async def work(conn: AsyncConnection) -> None:
        await conn.execute(text("SELECT CAST(:phone AS int) / 0"), {"phone": "13812345678999"})

    with pytest.raises(DBAPIError) as caught:
        await mechanisms.database.run(work)
    assert "parameters hidden" in str(caught.value)
