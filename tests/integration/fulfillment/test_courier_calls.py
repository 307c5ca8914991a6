"""Fulfillment's calls to the courier and to the gateway, against the sandbox's: what is known after each of their faults."""

import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from services.fulfillment.carriers.domain import Address, Booked, Booking, Content, EventKind, Recipient
from services.fulfillment.neighbours import courier as courier_client
from services.fulfillment.neighbours.courier import courier_at
from services.fulfillment.neighbours.notifications import notifications_at
from services.fulfillment.notices.domain import Message, MessageRefused, NoticeKind
from shared import http_client
from shared.http_client import NotSent, OutcomeUnknown, Refused, new_http_client
from tests.support.outside import (
    CARRIER,
    COURIER_KEY,
    COURIER_URL,
    NOTIFICATIONS_KEY,
    NOTIFICATIONS_URL,
    Courier,
    Notifications,
    Outside,
)

pytestmark = pytest.mark.anyio
BOOKING = Booking(
    Recipient("客户 1", "13800000001"), Address("上海", "上海", "浦东新区", "世纪大道1号"), [Content("保温杯", 2)]
)
REFERENCE = "0190c1f0-0000-7000-8000-000000000001"


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def http(outside: Outside) -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client(outside) as client:
        yield client


@pytest.fixture
def sandbox(outside: Outside) -> Courier:
    return outside.courier


@pytest.fixture
def courier(http: httpx.AsyncClient) -> courier_client.Courier:
    return courier_at(COURIER_URL, COURIER_KEY, http)


@pytest.mark.proves("F1", "G33")
@pytest.mark.parametrize(("mode", "carried_out"), [("slow", 0), ("fail", 0), ("lose_answer", 1), ("answer_twice", 1)])
async def test_whatever_becomes_of_a_booking_asking_again_gives_the_one_parcel(
    courier: courier_client.Courier, sandbox: Courier, monkeypatch: pytest.MonkeyPatch, mode: str, carried_out: int
) -> None:
    await sandbox.fault(mode=mode, times=1, seconds=5.0)
    if mode == "answer_twice":
        await courier.book(REFERENCE, BOOKING)
    else:
        with monkeypatch.context() as impatient:
            impatient.setattr(http_client, "CALL_SECONDS", 0.1)
            with pytest.raises(OutcomeUnknown):
                await courier.book(REFERENCE, BOOKING)
    assert len(await sandbox.see("parcels")) == carried_out
    first = await courier.book(REFERENCE, BOOKING)
    assert first == await courier.book(REFERENCE, BOOKING)
    [parcel] = await sandbox.see("parcels")
    assert first == Booked(REFERENCE, parcel["tracking_number"], CARRIER)


async def test_what_happened_is_read_with_its_order_time_and_place(courier: courier_client.Courier, sandbox: Courier) -> None:
    assert await courier.look(REFERENCE) is None
    booked = await courier.book(REFERENCE, BOOKING)
    await sandbox.fault(webhooks="lost")
    told = await sandbox.happen(booked.tracking_number, "picked_up", "delivered")
    found = await courier.look(REFERENCE)
    assert found is not None
    assert found.booked == booked
    assert [(e.sequence, e.kind, e.id) for e in found.events] == [
        (1, EventKind.PICKED_UP, told[0]["id"]), (2, EventKind.DELIVERED, told[1]["id"]),
    ]  # fmt: skip
    assert found.events[1].at.isoformat() == told[1]["at"]
    assert "上海" in found.events[1].place


async def test_a_key_that_the_courier_does_not_know_sends_nothing(http: httpx.AsyncClient, sandbox: Courier) -> None:
    with pytest.raises(NotSent):
        await courier_at(COURIER_URL, "another-key-altogether", http).book(REFERENCE, BOOKING)
    assert await sandbox.see("parcels") == []


async def test_another_parcel_under_a_known_reference_is_an_error_of_ours(courier: courier_client.Courier) -> None:
    await courier.book(REFERENCE, BOOKING)
    other = Booking(BOOKING.recipient, BOOKING.address, [Content("保温杯", 3)])
    with pytest.raises(Refused) as refused:
        await courier.book(REFERENCE, other)
    assert (refused.value.status, refused.value.problem) == (409, "reference-reused")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"reference": "another", "tracking_number": "1", "carrier": "c"},
        {"reference": REFERENCE, "tracking_number": "", "carrier": "c"},
        {"reference": REFERENCE, "tracking_number": "1" * 65, "carrier": "c"},
        {"reference": REFERENCE, "tracking_number": 7, "carrier": "c"},
    ],
)
async def test_an_answer_that_does_not_say_what_was_done_leaves_it_unknown(answer: object) -> None:
    async with new_http_client(httpx.MockTransport(lambda _: httpx.Response(200, json=answer))) as http:
        courier = courier_at(COURIER_URL, COURIER_KEY, http)
        with pytest.raises(OutcomeUnknown):
            await courier.book(REFERENCE, BOOKING)
        with pytest.raises(OutcomeUnknown):
            await courier.look(REFERENCE)


def message(to: str = "13800000001") -> Message:
    return Message(uuid.UUID(int=1), to, "zh_hant", NoticeKind.PARCEL_DISPATCHED, "您的包裹已寄出。")


@pytest.mark.proves("F7", "G33")
@pytest.mark.parametrize(("mode", "taken"), [("fail", 0), ("lose_answer", 1), ("answer_twice", 1)])
async def test_whatever_becomes_of_a_message_sending_it_again_tells_the_customer_once(
    outside: Outside, http: httpx.AsyncClient, mode: str, taken: int
) -> None:
    sandbox: Notifications = outside.notifications
    gateway = notifications_at(NOTIFICATIONS_URL, NOTIFICATIONS_KEY, http)
    await sandbox.fault(mode=mode, times=1)
    if mode == "answer_twice":
        await gateway.send(message())
    else:
        with pytest.raises(OutcomeUnknown):
            await gateway.send(message())
    assert len(await sandbox.see("messages")) == taken
    reference = await gateway.send(message())
    [found] = await sandbox.see("messages")
    assert (found["reference"], found["language"], found["to"]) == (reference, "zh-Hant", "13800000001")


@pytest.mark.proves("F7")
async def test_a_message_that_can_never_be_sent_is_told_from_a_moment_that_is_bad(http: httpx.AsyncClient) -> None:
    gateway = notifications_at(NOTIFICATIONS_URL, NOTIFICATIONS_KEY, http)
    with pytest.raises(MessageRefused) as refused:
        await gateway.send(message(to="no number"))
    assert refused.value.reason == "422 number-unusable"
    for status in (403, 408, 409, 425):
        async with new_http_client(httpx.MockTransport(lambda _, status=status: httpx.Response(status))) as bad:
            with pytest.raises(OutcomeUnknown):
                await notifications_at(NOTIFICATIONS_URL, NOTIFICATIONS_KEY, bad).send(message())
    async with new_http_client(httpx.MockTransport(lambda _: httpx.Response(200, json={}))) as odd:
        with pytest.raises(OutcomeUnknown):
            await notifications_at(NOTIFICATIONS_URL, NOTIFICATIONS_KEY, odd).send(message())
