"""Reconcile reads live books: while customers redeem and tills use vouchers it finds nothing, unless something is wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
import psycopg
import pytest

from services.redemption.reconciliation.use_cases import reconcile
from tests.support.catalog import batch_row, offer_row, reward_row
from tests.support.fulfillment import know_merchants
from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

CUSTOMERS, EACH = 24, 12
SCARCE = 30
SETTLE_SECONDS = 0.1


@pytest.fixture
async def busy(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, anyio_backend: str
) -> AsyncIterator[tuple[Suite, dict[str, TestDatabase]]]:
    databases: dict[str, TestDatabase] = {}

    def make(service: str) -> TestDatabase:
        databases[service] = database_of(service)
        return databases[service]

    async with running_suite(make, issuer) as suite:
        await suite.catalog.open(
            rewards=[reward_row("R1"), reward_row("R2")],
            offers=[offer_row("O1", limit_per_customer=4), offer_row("O2", "R2", quota_total=SCARCE)],
            stock_batches=[batch_row("B1", "R1", 1000), batch_row("B2", "R2", SCARCE)],
        )
        know_merchants(databases["fulfillment"], "M001")
        yield suite, databases


@contextlib.asynccontextmanager
async def workers_at_work(suite: Suite) -> AsyncIterator[None]:
    running = asyncio.create_task(suite.worker.run())
    try:
        yield
    finally:
        suite.worker.stop()
        await running


async def live(suite: Suite, subject: str) -> list[httpx.Response]:
    """One customer: redeems one after the other, some of it too often or too late, and uses a voucher whenever there is one."""
    answers = []
    for number in range(EACH):
        answers.append(await suite.redeem(subject, ("O1" if number % 2 else "O2", 1 + number % 2)))
        wallet = (await suite.tills.get("/v1/vouchers", headers=suite.issuer.customer(subject))).json()["items"]
        for voucher in [v for v in wallet if v["state"] == "issued"][:1]:
            headers = suite.issuer.customer(subject)
            code = (await suite.tills.get(f"/v1/vouchers/{voucher['id']}/code", headers=headers)).json()["code"]
            path = f"/v1/uses/{subject}-{number}"
            used = await suite.tills.put(path, json={"code": code}, headers=suite.issuer.till())
            assert used.status_code == 200
    return answers


@pytest.mark.proves("G8", "P4", "K7")
async def test_reconcile_finds_nothing_while_customers_redeem_and_tills_use(
    busy: tuple[Suite, dict[str, TestDatabase]],
) -> None:
    suite, _ = busy
    subjects = await suite.add_customers(*[6000] * CUSTOMERS)
    reports = []
    async with workers_at_work(suite):
        load = asyncio.gather(*(live(suite, subject) for subject in subjects))
        while not load.done():
            reports.append(await reconcile(suite.redemption.state.parts, settle_seconds=SETTLE_SECONDS))
        answers = [answer for found in await load for answer in found]
    assert [report.breaks for report in reports if report.breaks] == []
    assert len({report.redemptions for report in reports}) > 2  # it was looked at while things changed
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) > SCARCE
    assert statuses.count(409) > 0
    assert set(statuses) <= {201, 202, 409}


@pytest.mark.proves("G8")
async def test_reconcile_finds_under_load_just_the_one_thing_that_is_wrong(
    busy: tuple[Suite, dict[str, TestDatabase]],
) -> None:
    suite, databases = busy
    [*subjects, bystander] = await suite.add_customers(*[6000] * 8)
    account = (await suite.me(bystander))["customer_id"]
    move = "UPDATE lots SET remaining = remaining + %s FROM accounts a WHERE a.id = lots.account_id AND a.customer_id = %s"
    async with workers_at_work(suite):
        load = asyncio.gather(*(live(suite, subject) for subject in subjects))
        with psycopg.connect(databases["redemption"].superuser_url, autocommit=True) as conn:
            conn.execute(move, [-1, account])
            report = await reconcile(suite.redemption.state.parts, settle_seconds=SETTLE_SECONDS)
            conn.execute(move, [1, account])
        assert not load.done()
        await load
    assert {found.kind for found in report.breaks} == {"lot-drifted", "account-and-lots-differ"}
    assert len(report.breaks) == 2
