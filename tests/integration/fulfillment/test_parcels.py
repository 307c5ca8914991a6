"""Goods that go by courier or to a branch: accepted, sent on their way, reported, seen by their owner and by staff."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import CUSTOMER, branch, by_courier, customer_id_of, goods, line, to_branch, wish
from tests.support.outside import CARRIER
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        yield running


@pytest.mark.proves("F1", "G10")
async def test_goods_are_accepted_as_a_parcel_beside_the_vouchers_and_again_as_they_stand(depot: Depot) -> None:
    asked = wish(line(1, 2), goods(2), goods(3, 4), delivery=by_courier())
    [first] = await depot.fulfillment.accept(asked)
    assert (first["outcome"], first["state"], first["version"]) == ("accepted", "under_way", 1)
    assert [(part["way"], part["state"], part["lines"]) for part in first["parts"]] == [
        ("wallet", "issued", [1]),
        ("courier", "preparing", [2, 3]),
    ]
    assert await depot.fulfillment.accept(asked, asked) == [first, first]
    assert len(await depot.fulfillment.wallet()) == 2
    [parcel] = await depot.fulfillment.parcels()
    assert [(one["line"], one["quantity"], one["reward"]["names"]["en"]) for one in parcel["contents"]] == [
        (2, 1, "Kettle"),
        (3, 4, "Kettle"),
    ]
    await depot.leave()
    [later] = await depot.fulfillment.accept(asked)
    assert (later["outcome"], later["version"], later["parts"][1]["state"]) == ("accepted", 3, "dispatched")
    other = {**asked, "delivery": by_courier(street="另一条路")}
    [mismatch] = await depot.fulfillment.accept(other)
    assert (mismatch["outcome"], mismatch["parts"]) == ("mismatch", [])


@pytest.mark.proves("F1")
async def test_a_parcel_goes_to_the_courier_under_our_reference_and_comes_back_with_a_tracking_number(depot: Depot) -> None:
    redemption, parcel = await depot.accept(by_courier())
    await depot.work()
    assert depot.state(parcel) == "preparing", "its time of preparation is not over"
    await depot.leave()
    [booked] = await depot.outside.courier.see("parcels")
    assert (booked["reference"], booked["asked"]) == (parcel, 1)
    [seen] = await depot.fulfillment.parcels()
    assert (seen["state"], seen["carrier"], seen["tracking_number"]) == ("dispatched", CARRIER, booked["tracking_number"])
    assert [event["kind"] for event in seen["events"]] == ["preparing", "dispatching", "dispatched"]
    assert depot.redemption.versions == {redemption: 3}
    [part] = depot.redemption.parts[redemption]
    told = {"way": "courier", "state": "dispatched", "lines": [1], "carrier": CARRIER}
    assert part == {**told, "tracking_number": booked["tracking_number"], "at": part["at"]}
    query = "SELECT action, actor, channel FROM audit_entries WHERE subject = %s ORDER BY id"
    assert depot.rows(query, f"parcel:{parcel}") == [
        ("parcel.preparing", "service:redemption", "mobile-app"),
        ("parcel.dispatching", "rule:dispatch", "worker"),
        ("parcel.dispatched", "rule:dispatch", "worker"),
    ]
    assert depot.rows("SELECT kind, parcel_id::text FROM notices") == [("parcel_dispatched", parcel)]
    assert depot.rows("SELECT count(*) FROM tasks WHERE kind = 'follow_parcel' AND ref = %s", parcel) == [(1,)]


@pytest.mark.proves("F2")
async def test_a_parcel_for_pickup_leaves_for_its_branch_without_a_courier(depot: Depot) -> None:
    await depot.fulfillment.write_branches(branch("B001"))
    redemption, parcel = await depot.accept(to_branch())
    await depot.leave()
    assert depot.state(parcel) == "in_transfer"
    assert await depot.outside.courier.see("parcels") == []
    [part] = depot.redemption.parts[redemption]
    assert (part["way"], part["state"], part["branch"]) == ("pickup", "in_transfer", "B001")
    [seen] = await depot.fulfillment.parcels()
    assert seen["branch"]["names"]["en"] == "Branch B001"
    assert seen["state_words"] == {"zh_hans": "正在送往网点", "zh_hant": "正在送往分行", "en": "On its way to the branch"}


@pytest.mark.proves("G49", "X6")
async def test_contacts_are_sealed_and_shown_to_nobody_but_masked(depot: Depot) -> None:
    _, parcel = await depot.accept(by_courier())
    await depot.leave()
    dumped = str(depot.rows("SELECT p::text FROM parcels p")) + str(depot.rows("SELECT t::text FROM tasks t"))
    dumped += str(depot.rows("SELECT a::text FROM audit_entries a")) + str(depot.rows("SELECT e::text FROM parcel_events e"))
    dumped += str(depot.rows("SELECT f::text FROM fulfillments f")) + str(depot.rows("SELECT n::text FROM notices n"))
    issuer = depot.fulfillment.issuer
    for headers in (issuer.customer(), issuer.staff("agent"), depot.staff()):
        seen = await depot.fulfillment.get(f"/v1/parcels/{parcel}", headers)
        assert seen.json()["recipient"] == {"name": "欧**", "district": "广东省深圳市南山区"}
        dumped += seen.text
    listed = await depot.fulfillment.get(f"/v1/customers/{customer_id_of(CUSTOMER)}/parcels", issuer.staff("agent"))
    assert [one["id"] for one in listed.json()["items"]] == [parcel]
    dumped += listed.text
    for secret in ("欧阳", "小明", "13800001234", "科技路"):
        assert secret not in dumped, secret


@pytest.mark.proves("G39")
async def test_another_customers_parcel_is_like_an_absent_one(depot: Depot) -> None:
    await depot.fulfillment.write_branches(branch("B001"))
    parcel = await depot.ready()
    stranger = depot.fulfillment.issuer.customer("customer-00002")
    for path in (f"/v1/parcels/{parcel}", f"/v1/parcels/{parcel}/pickup-code"):
        assert (await depot.fulfillment.get(path, stranger)).status_code == 404
    assert await depot.fulfillment.parcels("customer-00002") == []


async def test_parcels_are_listed_newest_first_page_by_page(depot: Depot) -> None:
    made = [(await depot.accept(by_courier()))[1] for _ in range(3)]
    owner = depot.fulfillment.issuer.customer()
    first = (await depot.fulfillment.get("/v1/parcels", owner, limit=2)).json()
    rest = (await depot.fulfillment.get("/v1/parcels", owner, limit=2, cursor=first["next"])).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == made[::-1]
    assert rest["next"] is None


@pytest.mark.proves("G10")
async def test_the_same_goods_many_times_at_once_are_one_parcel(depot: Depot) -> None:
    asked = wish(goods(), delivery=by_courier())
    outcomes = await asyncio.gather(*(depot.fulfillment.accept(asked) for _ in range(20)))
    assert {outcome["outcome"] for [outcome] in outcomes} == {"accepted"}
    assert depot.rows("SELECT count(*) FROM parcels") == [(1,)]


async def test_fulfillments_are_asked_for_by_their_ids(depot: Depot) -> None:
    await depot.fulfillment.write_branches(branch("B001"))
    (one, _), (two, _) = await depot.accept(by_courier()), await depot.accept(to_branch(), line(1, 2), goods(2))
    found = {x["id"]: x for x in await depot.fulfillment.stands(one, two, "01920000-0000-7000-8000-000000000001")}
    assert set(found) == {one, two}
    assert [(x["kind"], x["quantity"], x["vouchers"]) for x in found[two]["lines"]] == [("e_voucher", 2, 2), ("goods", 1, 0)]
    assert [(p["way"], p["lines"], p["branch"]) for p in found[two]["parts"]] == [
        ("wallet", [1], None),
        ("pickup", [2], "B001"),
    ]
    listed = (await depot.fulfillment.get("/internal/v1/fulfillments", depot.fulfillment.issuer.service())).json()
    assert {x["id"]: x for x in listed["items"]} == found
    issuer = depot.fulfillment.issuer.service()
    too_many = [f"01920000-0000-7000-8000-{n:012d}" for n in range(65)]
    assert (await depot.fulfillment.get("/internal/v1/fulfillments", issuer, ids=too_many)).status_code == 422
