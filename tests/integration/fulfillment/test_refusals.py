"""A courier that does not take a parcel: asked three times and then about it, and the customer has everything back (F1, R6)."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from services.fulfillment.parcels.dispatching import REFUSALS_MAX
from shared import failpoints
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import CUSTOMER, by_courier, goods, line
from tests.support.postgres import TestDatabase
from tests.support.road import event, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        yield running


class Refusing(httpx.AsyncBaseTransport):
    """Refuses every booking with a status; knows of those that it is told to know."""

    def __init__(self, status: int = 422, knows: tuple[str, ...] = (), look_status: int = 404) -> None:
        self.status, self.knows, self.look_status = status, knows, look_status
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reference = request.url.path.rpartition("/")[2]
        self.asked.append(request.method)
        if request.method == "PUT":
            told = {"type": "https://courier.example/address-not-served"}
            return httpx.Response(self.status, content=json.dumps(told), request=request)
        if reference in self.knows:
            booked = {"reference": reference, "tracking_number": "SX-1", "carrier": "sandbox-express", "events": []}
            return httpx.Response(200, content=json.dumps(booked), request=request)
        return httpx.Response(self.look_status, request=request)


async def rounds(depot: Depot, number: int) -> None:
    for _ in range(number):
        await depot.leave()


@pytest.mark.proves("F1", "F7", "R6")
async def test_what_the_courier_refuses_for_good_is_not_sent_and_comes_back_to_the_customer(depot: Depot) -> None:
    redemption, parcel = await depot.accept(by_courier())
    courier = depot.outside.courier.transport = Refusing()  # type: ignore[assignment]
    await rounds(depot, REFUSALS_MAX - 1)
    assert depot.state(parcel) == "dispatching"
    assert depot.redemption.parts[redemption][0]["state"] == "dispatching"
    assert [one["outcome"] for one in await depot.fulfillment.cancel(redemption)] == ["too_late"]
    await rounds(depot, 2)
    assert depot.state(parcel) == "cancelled"
    assert courier.asked == ["PUT", "PUT", "PUT", "GET"]
    assert [part["state"] for part in depot.redemption.parts[redemption]] == ["cancelled"]
    assert depot.rows("SELECT state FROM fulfillments") == [("cancelled",)]
    [stopped] = await depot.fulfillment.cancel(redemption)
    assert (stopped["outcome"], stopped["cancelled_lines"]) == ("cancelled", [1])
    shown = (await depot.fulfillment.get(f"/v1/parcels/{parcel}", depot.fulfillment.issuer.customer(CUSTOMER))).json()
    assert (shown["events"][-1]["kind"], shown["events"][-1]["words"]["en"]) == (
        "refused", "The courier cannot take it; it was not sent",
    )  # fmt: skip
    assert depot.rows("SELECT kind, state FROM notices") == [("parcel_refused", "sent")]
    query = "SELECT actor, reason, after ->> 'reason' FROM audit_entries WHERE action = 'parcel.refused'"
    assert depot.rows(query) == [("rule:dispatch", "the courier does not take it", "courier_refused")]


@pytest.mark.proves("F1", "F3")
async def test_vouchers_beside_goods_that_were_refused_stay_handed_out(depot: Depot) -> None:
    redemption, _ = await depot.accept(by_courier(), line(1), goods(2))
    depot.outside.courier.transport = Refusing()  # type: ignore[assignment]
    await rounds(depot, REFUSALS_MAX)
    assert [part["state"] for part in depot.redemption.parts[redemption]] == ["issued", "cancelled"]
    assert depot.rows("SELECT state FROM fulfillments") == [("completed",)]


@pytest.mark.proves("F1", "G30")
async def test_what_was_booked_before_it_was_refused_is_dispatched(depot: Depot) -> None:
    _, parcel = await depot.accept(by_courier())
    depot.outside.courier.transport = Refusing(knows=(parcel,))  # type: ignore[assignment]
    await rounds(depot, REFUSALS_MAX)
    assert depot.state(parcel) == "dispatched"
    assert depot.rows("SELECT tracking_number FROM parcels") == [("SX-1",)]


@pytest.mark.proves("F1", "G33")
@pytest.mark.parametrize("courier", [Refusing(look_status=503), Refusing(403), Refusing(404), Refusing(409)])
async def test_nothing_is_given_up_while_it_may_be_booked_or_the_refusal_is_about_something_else(
    depot: Depot, courier: Refusing
) -> None:
    _, parcel = await depot.accept(by_courier())
    depot.outside.courier.transport = courier  # type: ignore[assignment]
    await rounds(depot, REFUSALS_MAX + 2)
    assert depot.state(parcel) == "dispatching"
    assert depot.rows("SELECT state FROM tasks WHERE kind = 'dispatch'") == [("ready",)]


@pytest.mark.proves("F1", "G30")
async def test_a_worker_that_dies_while_it_gives_up_leaves_it_to_the_next(depot: Depot) -> None:
    redemption, parcel = await depot.accept(by_courier())
    depot.outside.courier.transport = Refusing()  # type: ignore[assignment]
    await rounds(depot, REFUSALS_MAX - 1)
    failpoints.arm(dispatch__before_giving_up="raise")
    try:
        await rounds(depot, 1)
    finally:
        failpoints.arm()
    assert depot.state(parcel) == "dispatching"
    await rounds(depot, 1)
    assert depot.state(parcel) == "cancelled"
    assert depot.redemption.versions == {redemption: 3}


@pytest.mark.proves("P4")
async def test_the_books_name_a_parcel_that_was_refused_and_that_its_carrier_tells_of_all_the_same(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    async with running_road(fulfillment_database, issuer, books=False) as road:
        [parcel] = await road.accept()
        road.depot.outside.courier.transport = Refusing()  # type: ignore[assignment]
        await rounds(road.depot, REFUSALS_MAX)
        assert await road.depot.fulfillment.breaks() == []
        assert (await road.tell(event("SX-9", "picked_up", reference=parcel))).json()["outcome"] == "kept"
        [found] = await road.depot.fulfillment.breaks()
        assert (found["kind"], found["subject"]) == ("parcel-cancelled-and-sent", f"parcel:{parcel}")
