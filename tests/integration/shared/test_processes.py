"""Programs of the mechanisms: migrations that run once however many start them, and a worker with health and a clean end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from shared import migrations
from shared.clock import DatabaseClock
from shared.database import Database
from shared.process import serve_worker
from shared.tasks import Lane, Tasks, Worker
from tests.support.mechanisms import Mechanisms, task_tables
from tests.support.postgres import TestDatabase, TestServer

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


def migrate(place: TestDatabase) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shared.migrations", "catalog"],
        cwd=ROOT,
        env={**os.environ, "CATALOG_OWNER_DATABASE_URL": place.owner_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_runners_started_together_migrate_an_empty_database_once(postgres: TestServer) -> None:
    place = postgres.empty("catalog")
    runners = [migrate(place) for _ in range(3)]
    said = [await asyncio.to_thread(runner.communicate) for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0, 0], said
    assert {out for out, _ in said} == {f"catalog: at {migrations.head_of('catalog')}\n"}
    postgres.drop(place)


async def test_a_service_sees_whether_its_schema_is_the_one_it_was_written_for(
    database_of: Callable[[str], TestDatabase],
) -> None:
    place = database_of("catalog")
    database = Database(place.url)
    head = migrations.head_of("catalog")
    async with database.transaction() as conn:
        assert await migrations.is_at_head(conn, head)
        assert not await migrations.is_at_head(conn, "9999")
    await database.dispose()


async def test_a_migration_that_waits_for_a_lock_gives_up_and_changes_nothing(postgres: TestServer) -> None:
    place = postgres.empty("catalog")
    migrations.upgrade("catalog", place.owner_url, "0002")
    owner = Database(place.owner_url)
    async with owner.transaction() as conn:
        await conn.execute(text("LOCK TABLE campaigns IN ACCESS EXCLUSIVE MODE"))
        runner = migrate(place)
        _, said = await asyncio.to_thread(runner.communicate)
    assert runner.returncode != 0
    assert "lock timeout" in said
    async with owner.transaction() as conn:
        assert await migrations.is_at_head(conn, "0002")
    await owner.dispose()
    postgres.drop(place)


async def test_a_worker_shows_its_health_on_its_own_port_and_ends_on_sigterm(mechanisms: Mechanisms) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    checks = {"database": True}

    async def ready() -> dict[str, bool]:
        return checks

    worker = Worker(mechanisms.database, Tasks(task_tables), DatabaseClock(), [Lane("empty", [])])
    serving = asyncio.create_task(serve_worker(worker, ready, port=port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await client.get("/livez")).status_code == 200
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        assert (await client.get("/readyz")).status_code == 200
        checks["database"] = False
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        assert "huangou_tasks_parked" in (await client.get("/metrics")).text
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await serving
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
