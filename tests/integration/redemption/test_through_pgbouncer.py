"""The money path with PgBouncer in transaction mode between the services and their databases.

`make pgbouncer-test` sends all integration tests that way; this one goes along with every run where PgBouncer is installed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import make_url

from deploy.local.pgbouncer import PgBouncer, pgbouncer_program
from deploy.postgres.provision import SERVICES
from tests.support.postgres import PASSWORDS, THROUGH_PGBOUNCER, TestDatabase
from tests.support.suite import running_suite
from tests.support.tokens import Issuer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed here"),
    pytest.mark.skipif(THROUGH_PGBOUNCER, reason="everything goes through PgBouncer in this run"),
]
CUSTOMERS = 40


@pytest.mark.proves("G37")
async def test_redemptions_at_once_and_their_workers_go_through_it_and_the_books_agree(
    database_of: Callable[[str], TestDatabase], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = {service: database_of(service) for service in SERVICES}
    port = make_url(direct["catalog"].url).port
    assert port is not None
    with PgBouncer(port, {f"{service}_service": PASSWORDS.service for service in SERVICES}) as pooler:

        def pooled(service: str) -> TestDatabase:
            url = make_url(direct[service].url).set(host="127.0.0.1", port=pooler.port)
            return replace(direct[service], url=url.render_as_string(hide_password=False))

        for service in SERVICES:
            monkeypatch.setenv(f"{service.upper()}_PGBOUNCER", "true")
        async with running_suite(pooled, issuer) as suite:
            await suite.catalog.open()
            customers = await suite.add_customers(*[1500] * CUSTOMERS)
            answers = await asyncio.gather(*[suite.redeem(customer) for customer in customers])
            assert {answer.status_code for answer in answers} == {201}
            await suite.drain()
            wallets = [await suite.tills.get("/v1/vouchers", headers=issuer.customer(customer)) for customer in customers]
            assert {len(wallet.json()["items"]) for wallet in wallets} == {1}
