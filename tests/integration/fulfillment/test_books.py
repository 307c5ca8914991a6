"""The service's own books: silent when all is well, and by name when it is not."""

import psycopg
import pytest

from services.fulfillment.books import CHECKS
from tests.support.depot import running_depot
from tests.support.fulfillment import Fulfillment, branch, by_courier, goods, know_merchants, line, running_fulfillment, wish
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


PARCELS_DAMAGE = {
    "fulfillment-goods": [WITHOUT_TRIGGERS, "DELETE FROM parcel_lines WHERE line_number = 2"],
    "fulfillment-and-parcels-differ": [
        WITHOUT_TRIGGERS,
        "UPDATE fulfillments SET state = 'completed' "
        "WHERE id = (SELECT fulfillment_id FROM parcels WHERE state = 'dispatched')",
    ],
    "fulfillment-unreported": [
        "UPDATE fulfillments SET reported_version = 1 WHERE id = (SELECT fulfillment_id FROM parcels WHERE state = 'ready')"
    ],
    "parcel-without-lines": [
        """
        INSERT INTO parcels (id, fulfillment_id, way, state, version, customer_id, owner_issuer, owner_subject, contact_sealed,
                             address_sealed, accepted_at, state_at, changed_at)
        SELECT 'ffffffff-0000-7000-8000-000000000000', fulfillment_id, 'courier', 'cancelled', 1, customer_id, owner_issuer,
               owner_subject, contact_sealed, 'x', accepted_at, state_at, changed_at FROM parcels WHERE state = 'ready'
        """,
        """
        INSERT INTO parcel_events (parcel_id, number, kind, state, at, recorded_at, actor, facts)
        VALUES ('ffffffff-0000-7000-8000-000000000000', 1, 'cancelled', 'cancelled', now(), now(), 'nobody', '{}')
        """,
    ],
    "parcel-timeline-with-a-gap": [WITHOUT_TRIGGERS, "DELETE FROM parcel_events WHERE number = 2 AND state = 'dispatching'"],
    "parcel-cancelled-and-sent": [
        WITHOUT_TRIGGERS,
        "UPDATE parcel_events SET state = 'cancelled' WHERE number = 1 AND parcel_id = (SELECT id FROM parcels "
        "WHERE state = 'dispatched')",
    ],
    "parcel-ready-without-code": [
        "ALTER TABLE parcels DROP CONSTRAINT ck_parcels_code_whole",
        "UPDATE parcels SET code_sealed = NULL WHERE state = 'ready'",
    ],
    "parcel-at-unknown-branch": ["UPDATE parcels SET branch = 'B777' WHERE branch IS NOT NULL"],
    "parcel-without-dispatch": ["DELETE FROM tasks WHERE kind = 'dispatch' AND state = 'ready'"],
    "parcel-not-arrived": [
        WITHOUT_TRIGGERS,
        "UPDATE parcel_events SET state = 'in_transfer' WHERE number = 3 AND parcel_id IN (SELECT id FROM parcels "
        "WHERE state = 'ready')",
        "UPDATE parcels SET state = 'in_transfer', code_hmac = NULL, code_sealed = NULL, ready_until = NULL, "
        "expected_on = current_date - 9 WHERE state = 'ready'",
    ],
    "parcel-not-booked": [
        WITHOUT_TRIGGERS,
        "UPDATE parcel_events SET state = 'dispatching' WHERE parcel_id = (SELECT id FROM parcels WHERE state = 'preparing')",
        "UPDATE parcels SET state = 'dispatching', state_at = now() - interval '25 hours' WHERE state = 'preparing'",
    ],
    "parcel-not-followed": ["DELETE FROM tasks WHERE kind = 'follow_parcel'"],
}


@pytest.mark.proves("P4")
@pytest.mark.parametrize("kind", PARCELS_DAMAGE)
async def test_damage_of_parcels_is_found_and_named(fulfillment_database: TestDatabase, issuer: Issuer, kind: str) -> None:
    async with running_depot(fulfillment_database, issuer, books=False) as depot:
        await depot.fulfillment.write_branches(branch("B001"))
        await depot.ready()
        await depot.accept(by_courier(), goods(1), goods(2))
        await depot.leave()
        await depot.accept(by_courier())
        assert await depot.fulfillment.breaks() == []
        with psycopg.connect(fulfillment_database.superuser_url) as conn:
            for statement in PARCELS_DAMAGE[kind]:
                conn.execute(statement)
        assert [one["kind"] for one in await depot.fulfillment.breaks()] == [kind]


def test_every_check_of_the_books_is_seen_to_find_something() -> None:
    of_carriers_and_notices = {"carrier-contradicts", "carrier-event-unheard", "notice-unsent"}  # in their own tests
    assert set(CHECKS) == {*DAMAGE, *PARCELS_DAMAGE, *of_carriers_and_notices}


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
