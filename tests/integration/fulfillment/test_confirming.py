"""What gives points back is believed when the carrier, asked for the parcel, says it too (F1, G34)."""

from collections.abc import AsyncIterator

import pytest

from services.fulfillment.carriers.use_cases import CONTRADICTED
from tests.support.outside import CARRIER
from tests.support.postgres import TestDatabase
from tests.support.road import Road, event, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
STANDS = "SELECT applied_at IS NOT NULL, confirmed_at IS NOT NULL, contradicted_at IS NOT NULL FROM carrier_events"


@pytest.fixture
async def road(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Road]:
    async with running_road(fulfillment_database, issuer) as running:
        yield running


def counted(kind: str) -> float:
    return CONTRADICTED.labels(CARRIER, kind)._value.get()


async def state_of(road: Road, number: str) -> str:
    return str((await road.parcel(number))["state"])


@pytest.mark.proves("F1", "G34")
@pytest.mark.parametrize("kind", ["returned", "lost"])
async def test_a_message_alone_gives_nothing_back_however_well_it_is_signed(road: Road, kind: str) -> None:
    [number] = await road.send()
    before = counted(kind)
    forged = event(number, kind, 7)
    assert (await road.tell(forged)).json()["outcome"] == "kept"
    await road.worker.drain()
    assert await state_of(road, number) == "dispatched"
    assert road.depot.rows(STANDS) == [(False, False, True)], "it is kept, with what became of it"
    assert counted(kind) == before + 1
    [[part]] = road.depot.redemption.parts.values()
    assert part["state"] == "dispatched"
    assert (await road.tell(forged)).json()["outcome"] == "repeated"
    await road.courier.happen(number, "delivered")
    await road.courier.tell()
    await road.worker.drain()
    assert await state_of(road, number) == "delivered", "and nothing stands in the way of what is true"


@pytest.mark.proves("F1", "G34")
async def test_what_the_carrier_says_too_decides_at_once(road: Road) -> None:
    [number] = await road.send()
    await road.courier.happen(number, "picked_up", "returned")
    await road.courier.tell()
    assert await state_of(road, number) == "dispatched", "nobody was asked yet"
    await road.worker.drain()
    assert await state_of(road, number) == "returned"
    assert sorted(road.depot.rows(STANDS)) == [(True, False, False), (True, True, False)]
    assert [line["kind"] for line in (await road.parcel(number))["events"]][-1] == "returned"


@pytest.mark.proves("F1", "G34")
async def test_while_the_carrier_does_not_answer_it_waits_and_is_asked_for_again(road: Road) -> None:
    [number] = await road.send()
    await road.courier.happen(number, "lost")
    await road.courier.tell()
    await road.courier.fault(mode="fail", times=1)
    await road.worker.drain()
    assert road.depot.rows(STANDS) == [(False, False, False)]
    assert await state_of(road, number) == "dispatched"
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert await state_of(road, number) == "lost"


@pytest.mark.proves("G34")
async def test_what_the_carrier_says_otherwise_under_the_same_id_confirms_nothing(road: Road) -> None:
    [number] = await road.send()
    told = event(number, "lost", 3)
    road.courier.know({**told, "kind": "in_transit"})
    await road.tell(told)
    await road.worker.drain()
    assert road.depot.rows(STANDS) == [(False, False, True)]
    assert await state_of(road, number) == "dispatched"


@pytest.mark.proves("G34")
async def test_a_carrier_whose_books_are_late_is_believed_when_they_have_it(road: Road) -> None:
    [number] = await road.send()
    told = event(number, "returned", 3)
    await road.tell(told)
    await road.worker.drain()
    assert road.depot.rows(STANDS) == [(False, False, True)]
    road.courier.know(told)
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert await state_of(road, number) == "returned"
    assert road.depot.rows(STANDS) == [(True, True, True)]


@pytest.mark.proves("G34")
async def test_it_waits_before_its_parcel_is_known_too(road: Road) -> None:
    """The booking's answer was lost: the message is there before the tracking number, and still decides nothing."""
    [parcel] = await road.accept()
    await road.courier.fault(mode="lose_answer", times=1)
    road.hurry("dispatch")
    await road.once("dispatch")
    [booked] = await road.courier.see("parcels")
    number = booked["tracking_number"]
    assert (await road.tell(event(number, "lost", 9))).json()["outcome"] == "kept"
    road.hurry("dispatch")
    await road.once("dispatch")
    road.hurry("apply_carrier_events")
    await road.worker.drain()
    assert road.depot.state(parcel) == "dispatched"
    assert road.depot.rows(STANDS) == [(False, False, True)]


@pytest.mark.proves("G34")
async def test_of_a_parcel_at_its_end_it_is_asked_for_too_and_not_told(road: Road) -> None:
    [number] = await road.send()
    await road.courier.happen(number, "delivered")
    await road.courier.tell()
    await road.worker.drain()
    assert (await road.tell(event(number, "lost", 9))).json()["outcome"] == "kept"
    await road.worker.drain()
    seen = await road.parcel(number)
    assert (seen["state"], seen["events"][-1]["kind"]) == ("delivered", "delivered")
    assert sorted(road.depot.rows(STANDS)) == [(False, False, True), (True, False, False)]
    asking = "SELECT count(*) FROM tasks WHERE kind = 'follow_parcel' AND state <> 'done'"
    assert road.depot.rows(asking) == [(0,)], "and nobody asks any more"
