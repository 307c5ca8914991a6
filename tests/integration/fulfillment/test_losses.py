"""A parcel that is lost on its way to a branch, or at it: somebody says so, and redemption and the customer hear of it once."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, by_courier, to_branch
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
REASON = "looked for at the branch and in the van"


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"), branch("B002"))
        yield running


async def lose(depot: Depot, parcel: str, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await depot.fulfillment.client.put(f"/v1/parcels/{parcel}/loss", json=body or {"reason": REASON}, headers=headers)


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


@pytest.mark.proves("F2", "F7", "G46")
@pytest.mark.parametrize("arrived", [False, True], ids=["on its way", "at the branch"])
@pytest.mark.parametrize("role", ["branch", "supervisor"])
async def test_a_lost_parcel_is_told_of_once_however_often_it_is_said(depot: Depot, role: str, arrived: bool) -> None:
    redemption, parcel = await depot.accept(to_branch())
    await depot.leave()
    if arrived:
        assert (await depot.arrive(parcel)).status_code == 200
    headers = depot.staff() if role == "branch" else depot.fulfillment.issuer.staff("supervisor", subject="clerk-1")
    answers = [await lose(depot, parcel, headers) for _ in range(2)]
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(200, "lost")] * 2
    await depot.work()
    assert [(part["way"], part["state"]) for part in depot.redemption.parts[redemption]] == [("pickup", "lost")]
    assert depot.rows("SELECT state FROM fulfillments") == [("returned",)]
    assert depot.rows("SELECT state FROM notices WHERE kind = 'parcel_lost'") == [("sent",)]
    query = "SELECT actor, reason FROM audit_entries WHERE action = 'parcel.lost'"
    assert depot.rows(query) == [("staff:person-of-clerk-1", REASON)]
    assert code_of(await depot.hand_over(parcel, "12345678")) == "parcel-not-ready"


@pytest.mark.proves("F2")
async def test_what_the_bank_does_not_have_is_not_lost_by_it(depot: Depot) -> None:
    supervisor = depot.fulfillment.issuer.staff("supervisor")
    _, preparing = await depot.accept(to_branch())
    assert code_of(await lose(depot, preparing, supervisor)) == "parcel-not-ours"
    await depot.accept(by_courier())
    await depot.leave()
    [(courier,)] = depot.rows("SELECT id::text FROM parcels WHERE way = 'courier'")
    assert code_of(await lose(depot, courier, supervisor)) == "parcel-not-ours"
    ready = await depot.ready()
    assert (await depot.hand_over(ready, await depot.code(ready))).status_code == 200
    assert code_of(await lose(depot, ready, supervisor)) == "parcel-not-ours"


@pytest.mark.proves("F2", "G39")
async def test_staff_of_another_branch_do_not_find_it_and_a_reason_is_needed(depot: Depot) -> None:
    _, parcel = await depot.accept(to_branch())
    await depot.leave()
    for headers in (depot.staff("B002"), depot.staff(None)):
        assert (await lose(depot, parcel, headers)).status_code == 404
    assert (await lose(depot, parcel, depot.staff(), reason=" ")).status_code == 422
    assert depot.state(parcel) == "in_transfer"
