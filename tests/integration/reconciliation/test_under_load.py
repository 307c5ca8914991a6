"""Reconcile reads live books: while customers redeem and tills use vouchers it finds nothing, unless something is wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psycopg
import pytest

from services.redemption.reconciliation.use_cases import Report, reconcile
from shared.problems import NeighbourUnavailable
from tests.support.catalog import batch_row, offer_row, reward_row
from tests.support.fulfillment import know_merchants
from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

CUSTOMERS, EACH = 24, 6
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


async def live(suite: Suite, subject: str, answers: list[httpx.Response], enough: Callable[[], bool]) -> None:
    """One customer: redeems one after the other, some of it too often or too late, and uses a voucher whenever there is one."""
    number = 0
    while number < EACH or not enough():
        answers.append(await suite.redeem(subject, ("O1" if number % 2 else "O2", 1 + number % 2)))
        headers = suite.issuer.customer(subject)
        wallet = await patiently(suite, "GET", "/v1/vouchers", headers)
        for voucher in [v for v in wallet.json()["items"] if v["state"] == "issued"][:1]:
            shown = await patiently(suite, "GET", f"/v1/vouchers/{voucher['id']}/code", headers)
            code = {"code": shown.json()["code"]}
            await patiently(suite, "PUT", f"/v1/uses/{subject}-{number}", suite.issuer.till(), json=code)
        number += 1
        await asyncio.sleep(0.05 if number > EACH else 0)


async def patiently(suite: Suite, method: str, path: str, headers: dict[str, str], **sent: Any) -> httpx.Response:
    """As an app does it: whoever is told that it is too much just now asks again."""
    while (answer := await suite.tills.request(method, path, headers=headers, **sent)).status_code == 503:
        await asyncio.sleep(0.1)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.proves("G8", "P4", "K7")
async def test_reconcile_finds_nothing_while_customers_redeem_and_tills_use(
    busy: tuple[Suite, dict[str, TestDatabase]],
) -> None:
    suite, _ = busy
    subjects = await suite.add_customers(*[6000] * CUSTOMERS)
    reports: list[Report] = []
    answers: list[httpx.Response] = []
    async with workers_at_work(suite), asyncio.TaskGroup() as load:
        people = [load.create_task(live(suite, subject, answers, lambda: len(reports) > 2)) for subject in subjects]
        while not all(person.done() for person in people):
            with contextlib.suppress(NeighbourUnavailable):  # too much just now: the next look tells
                reports.append(await reconcile(suite.redemption.state.parts, settle_seconds=SETTLE_SECONDS))
    assert [report.breaks for report in reports if report.breaks] == []
    assert len({report.redemptions for report in reports}) > 1  # it was looked at while things changed
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) > SCARCE
    assert statuses.count(409) > 0
    assert set(statuses) <= {201, 202, 409, 503}


@pytest.mark.proves("G8")
async def test_reconcile_finds_under_load_just_the_one_thing_that_is_wrong(
    busy: tuple[Suite, dict[str, TestDatabase]],
) -> None:
    suite, databases = busy
    [*subjects, bystander] = await suite.add_customers(*[6000] * 8)
    account = (await suite.me(bystander))["customer_id"]
    move = "UPDATE lots SET remaining = remaining + %s FROM accounts a WHERE a.id = lots.account_id AND a.customer_id = %s"
    async with workers_at_work(suite), asyncio.TaskGroup() as load:
        looked = asyncio.Event()
        people = [load.create_task(live(suite, subject, [], looked.is_set)) for subject in subjects]
        with psycopg.connect(databases["redemption"].superuser_url, autocommit=True) as conn:
            conn.execute(move, [-1, account])
            report = await reconcile(suite.redemption.state.parts, settle_seconds=SETTLE_SECONDS)
            conn.execute(move, [1, account])
        assert not all(person.done() for person in people)
        looked.set()
    assert {found.kind for found in report.breaks} == {"lot-drifted", "account-and-lots-differ"}
    assert len(report.breaks) == 2
