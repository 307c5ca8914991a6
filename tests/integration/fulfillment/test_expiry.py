"""Marking vouchers whose time is over."""

import datetime as dt

import psycopg
import pytest

from services.fulfillment.vouchers import use_cases
from services.fulfillment.worker import make_worker
from shared.clock import SetClock
from shared.tasks import NewTask
from tests.support.fulfillment import Fulfillment, know_merchants, line, running_fulfillment, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

STATES = "SELECT state, count(*) FROM vouchers GROUP BY state ORDER BY state"
START = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)


def states(database: TestDatabase) -> dict[str, int]:
    with psycopg.connect(database.superuser_url) as conn:
        return dict(conn.execute(STATES).fetchall())


async def expire(fulfillment: Fulfillment) -> int:
    parts = fulfillment.parts
    async with parts.database.transaction() as conn:
        due = [NewTask(kind="expire_vouchers", run_at=START, dedupe_key="expire_vouchers")]
        await parts.tasks.add(conn, due)
    lane = next(lane for lane in make_worker(parts)._lanes if lane.name == "housekeeping")
    runs = 0
    while await make_worker(parts).run_once(lane):
        runs += 1
    return runs


@pytest.mark.proves("F3", "G46")
async def test_only_vouchers_whose_time_is_over_are_marked_each_with_its_audit_row(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    clock = SetClock(START)
    know_merchants(fulfillment_database, "M001")
    async with running_fulfillment(fulfillment_database, issuer, clock=clock) as fulfillment:
        codes = await fulfillment.issue(line(1, 3, valid_days=1), line(2, 1, valid_days=2))
        by_line = {v["id"]: v["line"] for v in await fulfillment.wallet()}
        short = [code for one, code in (await fulfillment.codes()).items() if by_line[one] == 1]
        assert (await fulfillment.use(short[0])).status_code == 200
        clock.instant = dt.datetime(2026, 11, 23, 15, 59, 59, tzinfo=dt.UTC)
        await expire(fulfillment)
        assert states(fulfillment_database) == {"issued": 3, "used": 1}
        clock.advance(dt.timedelta(seconds=1))
        await expire(fulfillment)
        assert states(fulfillment_database) == {"expired": 2, "issued": 1, "used": 1}
        with psycopg.connect(fulfillment_database.superuser_url) as conn:
            found = conn.execute("SELECT actor, count(*) FROM audit_entries WHERE action = 'voucher.expired' GROUP BY 1")
            assert found.fetchall() == [("rule:voucher-expiry", 2)]
        assert {(await fulfillment.verify(code)).json()["state"] for code in codes} == {"expired", "issued", "used"}


@pytest.mark.proves("F3")
async def test_a_reversed_use_of_a_voucher_past_its_time_gives_an_expired_one(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    clock = SetClock(dt.datetime(2026, 11, 23, 15, 50, tzinfo=dt.UTC))
    know_merchants(fulfillment_database, "M001")
    async with running_fulfillment(fulfillment_database, issuer, clock=clock) as fulfillment:
        clock.instant -= dt.timedelta(days=1)
        [code] = await fulfillment.issue(line(1, valid_days=1))
        clock.instant += dt.timedelta(days=1)
        await fulfillment.use(code, "N-1")
        clock.advance(dt.timedelta(minutes=15))
        assert (await fulfillment.reverse("N-1")).status_code == 200
        assert (await fulfillment.verify(code)).json()["state"] == "expired"
        await expire(fulfillment)
        assert states(fulfillment_database) == {"expired": 1}


async def test_many_are_marked_in_several_commits(
    fulfillment_database: TestDatabase, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "EXPIRED_AT_ONCE_MAX", 10)
    clock = SetClock(START - dt.timedelta(days=30))  # a task for later must be due by the database's own clock
    async with running_fulfillment(fulfillment_database, issuer, clock=clock) as fulfillment:
        await fulfillment.accept(wish(line(1, 25, valid_days=1)))
        clock.advance(dt.timedelta(days=3))
        assert await expire(fulfillment) == 3
        assert states(fulfillment_database) == {"expired": 25}
