"""Cancelling: what has not left is stopped, once, whatever comes first and however often it is asked."""

import uuid
from collections.abc import AsyncIterator

import pytest

from shared import failpoints
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import ACTOR, branch, by_courier, goods, line, to_branch, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


@pytest.mark.proves("R6", "G10")
@pytest.mark.parametrize("delivery", [by_courier(), to_branch()], ids=["courier", "pickup"])
async def test_goods_that_have_not_left_are_cancelled_and_never_leave(depot: Depot, delivery: dict[str, object]) -> None:
    redemption, parcel = await depot.accept(delivery)
    [first] = await depot.fulfillment.cancel(redemption)
    assert (first["outcome"], first["cancelled_lines"], first["version"]) == ("cancelled", [1], 2)
    assert [(part["state"], part["lines"]) for part in first["parts"]] == [("cancelled", [1])]
    assert await depot.fulfillment.cancel(redemption, redemption) == [first, first]
    await depot.leave()
    assert depot.state(parcel) == "cancelled"
    assert await depot.outside.courier.see("parcels") == []
    assert depot.redemption.parts[redemption][0]["state"] == "cancelled"
    assert depot.rows("SELECT state, version, reported_version FROM fulfillments") == [("cancelled", 2, 2)]
    query = "SELECT actor, on_behalf_of, reason FROM audit_entries WHERE action = 'parcel.cancelled'"
    assert depot.rows(query) == [("service:redemption", "customer:customer-00001", "a test")]


@pytest.mark.proves("R6", "G18")
@pytest.mark.parametrize(("delivery", "state"), [(by_courier(), "dispatched"), (to_branch(), "in_transfer")])
async def test_what_has_left_is_not_cancelled(depot: Depot, delivery: dict[str, object], state: str) -> None:
    redemption, parcel = await depot.accept(delivery)
    await depot.leave()
    [late] = await depot.fulfillment.cancel(redemption)
    assert (late["outcome"], late["cancelled_lines"]) == ("too_late", [])
    assert [part["state"] for part in late["parts"]] == [state]
    assert depot.state(parcel) == state


@pytest.mark.proves("R6", "G18")
async def test_while_the_carrier_is_asked_it_is_too_late_already(depot: Depot) -> None:
    redemption, parcel = await depot.accept(by_courier())
    await depot.outside.courier.fault(mode="fail")
    await depot.leave()
    assert depot.state(parcel) == "dispatching"
    assert [x["outcome"] for x in await depot.fulfillment.cancel(redemption)] == ["too_late"]
    await depot.outside.courier.fault(mode="none")
    await depot.leave()
    assert depot.state(parcel) == "dispatched"


@pytest.mark.proves("R6")
async def test_beside_vouchers_the_goods_alone_are_cancelled(depot: Depot) -> None:
    redemption, _ = await depot.accept(by_courier(), line(1, 2), goods(2), goods(5))
    [stopped] = await depot.fulfillment.cancel(redemption)
    assert (stopped["outcome"], stopped["cancelled_lines"]) == ("partly", [2, 5])
    assert [(part["way"], part["state"]) for part in stopped["parts"]] == [("wallet", "issued"), ("courier", "cancelled")]
    assert await depot.fulfillment.cancel(redemption) == [stopped]
    assert len(await depot.fulfillment.wallet()) == 2
    assert depot.rows("SELECT state FROM fulfillments") == [("completed",)]


@pytest.mark.proves("R6")
async def test_vouchers_alone_are_not_cancelled(depot: Depot) -> None:
    asked = wish(line(1))
    await depot.fulfillment.accept(asked)
    [stopped] = await depot.fulfillment.cancel(asked["id"])
    assert (stopped["outcome"], stopped["cancelled_lines"], stopped["version"]) == ("too_late", [], 1)
    assert len(await depot.fulfillment.wallet()) == 1


@pytest.mark.proves("G10", "R6")
async def test_a_cancellation_that_comes_first_stops_the_late_acceptance(depot: Depot) -> None:
    asked = wish(line(1), goods(2), delivery=by_courier())
    [first] = await depot.fulfillment.cancel(asked["id"])
    assert (first["outcome"], first["cancelled_lines"], first["version"], first["parts"]) == ("cancelled", None, 1, [])
    [late] = await depot.fulfillment.accept(asked)
    assert (late["outcome"], late["parts"]) == ("cancelled", [])
    assert await depot.fulfillment.cancel(asked["id"]) == [first]
    assert depot.rows("SELECT count(*) FROM parcels") == [(0,)]
    assert await depot.fulfillment.wallet() == []
    query = "SELECT action FROM audit_entries WHERE subject = %s"
    assert depot.rows(query, f"fulfillment:{asked['id']}") == [("fulfillment.cancelled",)]


async def test_a_cancelled_one_that_is_asked_for_again_stays_cancelled(depot: Depot) -> None:
    asked = wish(goods(), delivery=by_courier())
    await depot.fulfillment.accept(asked)
    await depot.fulfillment.cancel(asked["id"])
    [again] = await depot.fulfillment.accept(asked)
    assert (again["outcome"], again["state"], [part["state"] for part in again["parts"]]) == (
        "cancelled",
        "cancelled",
        ["cancelled"],
    )


async def test_many_are_cancelled_in_one_call_each_with_its_own_outcome(depot: Depot) -> None:
    (gone, _), (there, _) = await depot.accept(by_courier()), await depot.accept(to_branch())
    later = """
        UPDATE tasks SET run_at = now() + interval '9 hours'
         WHERE ref = (SELECT id FROM parcels WHERE fulfillment_id = %s) RETURNING 1
    """
    assert depot.rows(later, there) == [(1,)]
    await depot.leave()
    unknown = [str(uuid.uuid4()) for _ in range(62)]
    outcomes = await depot.fulfillment.cancel(gone, *unknown, there)
    assert [one["outcome"] for one in outcomes] == ["too_late", *["cancelled"] * 63]
    assert [one["cancelled_lines"] for one in outcomes] == [[], *[None] * 62, [1]]


@pytest.mark.proves("X3", "R6")
@pytest.mark.parametrize(("point", "kept"), [("cancel__before_commit", "preparing"), ("cancel__after_commit", "cancelled")])
async def test_a_crash_leaves_it_whole_and_asking_again_ends_alike(depot: Depot, point: str, kept: str) -> None:
    redemption, parcel = await depot.accept(by_courier())
    failpoints.arm(**{point: "raise"})
    body = {"actor": ACTOR, "items": [{"id": redemption}]}
    headers = depot.fulfillment.issuer.service()
    answer = await depot.fulfillment.client.put("/internal/v1/fulfillments/cancellations", json=body, headers=headers)
    failpoints.arm()
    assert (answer.status_code, depot.state(parcel)) == (500, kept)
    assert [x["outcome"] for x in await depot.fulfillment.cancel(redemption)] == ["cancelled"]
    assert depot.rows("SELECT version FROM fulfillments") == [(2,)]
