"""Each look of staff at a customer's data is on record, in every service; customers look at their own unseen (A1, G46)."""

import psycopg
import pytest

from tests.support.routes import ROUTES, Route
from tests.support.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.proves("A1", "G46")]
OF_A_CUSTOMER = ("customer_id", "redemption_id", "voucher_id", "parcel_id")
READ_BY_STAFF = [
    route
    for route in ROUTES
    if route.method == "GET" and "staff:agent" in route.callers and any(f"{{{name}}}" in route.path for name in OF_A_CUSTOMER)
]


def looks(world: World, service: str) -> list[tuple[str, str | None]]:
    """Who looked at the owner's data, and at what, in the order of the looks."""
    with psycopg.connect(world.database(service).superuser_url) as conn:
        query = (
            "SELECT actor, after ->> 'what' FROM audit_entries WHERE action = 'customer.looked_up' AND subject = %s ORDER BY id"
        )
        return conn.execute(query, [f"customer:{world.owner_id}"]).fetchall()


def test_every_service_that_holds_customers_data_is_among_them() -> None:
    assert {route.service for route in READ_BY_STAFF} == {"redemption", "fulfillment"}
    assert len(READ_BY_STAFF) == 14


@pytest.mark.parametrize("route", READ_BY_STAFF, ids=lambda route: route.name)
async def test_a_look_of_staff_is_one_row_and_a_customers_own_is_none(world: World, route: Route) -> None:
    sample = route.sample(world)
    before = looks(world, route.service)
    answer = await route.send(world, sample, authorization=world.issuer.staff("agent", subject="looker"))
    assert answer.status_code == 200, answer.text
    [(actor, what)] = looks(world, route.service)[len(before) :]
    assert actor == "staff:person-of-looker"
    assert what
    if sample.caller == "owner":
        assert (await route.send(world, sample)).status_code == 200
        assert len(looks(world, route.service)) == len(before) + 1


async def test_a_look_at_nobodys_object_is_none(world: World) -> None:
    absent = "00000000-0000-0000-0000-000000000007"
    for route in READ_BY_STAFF:
        if "customer_id" not in route.path:
            before = looks(world, route.service)
            path = dict.fromkeys(route.sample(world).path, absent)
            answer = await world.client(route.service).get(route.path.format(**path), headers=world.issuer.staff("agent"))
            assert answer.status_code == 404
            assert looks(world, route.service) == before
