"""The service's own books: silent when all is well, and by name when it is not."""

import psycopg
import pytest

from tests.support.fulfillment import Fulfillment, know_merchants, line, running_fulfillment, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

WITHOUT_TRIGGERS = "SET session_replication_role = replica"
DAMAGE = {
    "voucher-used-twice": [
        "DROP INDEX uq_uses_live",
        """
        INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, voucher_id, recorded_at, used_at)
        SELECT gen_random_uuid(), merchant, terminal, 'again', state, fingerprint, voucher_id, recorded_at, used_at
          FROM uses WHERE state = 'live'
        """,
    ],
    "voucher-used-without-use": ["UPDATE uses SET state = 'reversed', reversed_at = now() WHERE state = 'live'"],
    "use-of-unused-voucher": ["UPDATE vouchers SET state = 'issued', used_at = NULL WHERE state = 'used'"],
    "use-undecided": [
        """
        INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, recorded_at)
        SELECT gen_random_uuid(), merchant, terminal, 'open', 'asked', fingerprint, recorded_at FROM uses WHERE state = 'live'
        """
    ],
    "use-by-foreign-merchant": [WITHOUT_TRIGGERS, "UPDATE voucher_promises SET merchants = '[\"M777\"]'"],
    "fulfillment-vouchers": [WITHOUT_TRIGGERS, "DELETE FROM vouchers WHERE state = 'issued' AND unit_number = 2"],
    "fulfillment-without-lines": [
        """
        INSERT INTO fulfillments
        SELECT gen_random_uuid(), state, version, fingerprint, customer_id, owner_issuer, owner_subject, campaign, accepted_at,
               changed_at FROM fulfillments LIMIT 1
        """
    ],
}


@pytest.mark.proves("P4")
@pytest.mark.parametrize("kind", DAMAGE)
async def test_damage_is_found_and_named(fulfillment_database: TestDatabase, issuer: Issuer, kind: str) -> None:
    know_merchants(fulfillment_database, "M001")
    async with running_fulfillment(fulfillment_database, issuer, books=False) as fulfillment:
        codes = await fulfillment.issue(line(1, 1))
        await fulfillment.use(codes[0], "N-1")
        await fulfillment.accept(wish(line(1, 2)))
        await fulfillment.reverse("N-2")
        assert await fulfillment.breaks() == []
        with psycopg.connect(fulfillment_database.superuser_url) as conn:
            for statement in DAMAGE[kind]:
                conn.execute(statement)
        found = await fulfillment.breaks()
        assert [one["kind"] for one in found] == [kind]
        assert found[0]["subject"].partition(":")[0] in ("voucher", "use", "fulfillment")


@pytest.mark.proves("G40")
async def test_the_books_are_for_services_alone(fulfillment: Fulfillment) -> None:
    issuer = fulfillment.issuer
    assert (await fulfillment.get("/internal/v1/breaks", issuer.service("ops", scope="reconcile:read"))).status_code == 200
    for headers in (issuer.customer(), issuer.till(), issuer.staff("auditor"), issuer.service(scope="feeds:write")):
        assert (await fulfillment.get("/internal/v1/breaks", headers)).status_code == 403
