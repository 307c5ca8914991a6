"""The sandbox's courier: one parcel a reference, whatever is asked twice, lost or restarted; and webhooks with their faults."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sandbox.journal import Journal
from shared.webhooks import signed_at
from tests.support.outside import CARRIER, CARRIER_KEY, COURIER_KEY, Courier

pytestmark = pytest.mark.anyio
PARCEL: dict[str, Any] = {
    "recipient": {"name": "客户 1", "phone": "13800000001"},
    "address": {"province": "上海", "city": "上海", "district": "浦东新区", "street": "世纪大道1号", "postcode": None},
    "contents": [{"name": "保温杯", "quantity": 2}],
}
KEY = {"Authorization": f"Bearer {COURIER_KEY}"}


class Listener(httpx.AsyncBaseTransport):
    """Whoever is told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        at = signed_at([CARRIER_KEY], request.headers, body)
        assert abs((datetime.now(UTC) - at).total_seconds()) < 600
        event = json.loads(body)
        assert request.headers["webhook-id"] == event["id"]
        self.heard.append(event)
        return httpx.Response(self.status)


async def book(courier: Courier, reference: str = "p-1", **given: Any) -> httpx.Response:
    return await courier.hand.put(f"/v1/parcels/{reference}", json={**PARCEL, **given}, headers=KEY)


async def look(courier: Courier, reference: str = "p-1") -> httpx.Response:
    return await courier.hand.get(f"/v1/parcels/{reference}", headers=KEY)


async def tracking_number_of(courier: Courier) -> str:
    number: str = (await book(courier)).json()["tracking_number"]
    return number


async def test_the_same_reference_is_the_same_parcel_and_another_parcel_is_refused() -> None:
    courier = Courier()
    first, again = await book(courier), await book(courier)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["carrier"] == CARRIER
    other = await book(courier, contents=[{"name": "保温杯", "quantity": 3}])
    assert (other.status_code, other.json()["title"]) == (409, "reference-reused")
    assert [parcel["asked"] for parcel in await courier.see("parcels")] == [2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": {"name": "", "phone": "13800000001"}},
        {"recipient": {"name": "x", "phone": "not a number"}},
        {"address": {}},
        {"contents": []},
        {"contents": [{"name": "x", "quantity": 0}]},
        {"something": 1},
    ],
)
async def test_a_parcel_that_cannot_be_brought_is_refused(wrong: dict[str, Any]) -> None:
    courier = Courier()
    assert (await book(courier, **wrong)).status_code == 422
    assert await courier.see("parcels") == []


async def test_nobody_is_let_in_without_the_right_key() -> None:
    courier = Courier()
    doors = {"/v1/parcels/p-1": ("PUT", "GET"), "/sandbox/parcels": ("GET",), "/sandbox/faults": ("PUT",)}
    for path, method in [(path, method) for path, methods in doors.items() for method in methods]:
        right = COURIER_KEY if path.startswith("/v1") else courier.hand.headers["authorization"].removeprefix("Bearer ")
        wrong = [None, "", "Bearer ", "Bearer x", f"Basic {right}", f"Bearer {right}x"]
        if path.startswith("/sandbox"):
            wrong.append(f"Bearer {COURIER_KEY}")
        for shown in wrong:
            answer = await courier.hand.request(method, path, json={}, headers={"Authorization": shown or ""})
            assert (answer.status_code, answer.json()["title"]) == (401, "key-unknown")
    assert (await courier.hand.get("/livez", headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize(("mode", "status"), [("fail", 503), ("lose_answer", 200), ("answer_twice", 200), ("slow", 201)])
async def test_each_fault_is_met_so_often_and_one_parcel_comes_of_it(mode: str, status: int) -> None:
    courier = Courier()
    await courier.fault(mode=mode, times=1, seconds=0.05)
    faulty = await book(courier)
    assert faulty.status_code == status
    if mode == "lose_answer":
        with pytest.raises(json.JSONDecodeError):
            faulty.json()
    fine = await book(courier)
    assert fine.status_code == (201 if mode == "fail" else 200)
    [parcel] = await courier.see("parcels")
    assert parcel["tracking_number"] == fine.json()["tracking_number"]
    assert (await courier.hand.get("/sandbox/faults")).json()["mode"] == "none"


async def test_faults_stay_until_they_are_changed_and_what_is_not_named_stays() -> None:
    courier = Courier()
    await courier.fault(mode="fail", webhooks="lost")
    assert [(await book(courier)).status_code for _ in range(3)] == [503] * 3
    await courier.fault(seconds=0.0)
    assert (await courier.hand.get("/sandbox/faults")).json() == {
        "mode": "fail", "seconds": 0.0, "times": None, "webhooks": "lost",
    }  # fmt: skip
    assert (await courier.hand.put("/sandbox/faults", json={"mode": "explode"})).status_code == 422


async def test_what_happens_is_told_signed_and_in_order_until_it_is_heard() -> None:
    listener = Listener()
    courier = Courier(listener)
    number = await tracking_number_of(courier)
    events = await courier.happen(number, "picked_up", "in_transit")
    assert [event["sequence"] for event in events] == [1, 2]
    listener.status = 503
    assert await courier.courier.teller.send_due() == 2
    assert await courier.courier.teller.send_due() == 0, "not at once again"
    courier.seconds, listener.status = 5.0, 200
    assert await courier.tell() == 2
    assert listener.heard == [*events, *events]
    courier.seconds = 500.0
    assert await courier.tell() == 0


@pytest.mark.parametrize(("fault", "heard"), [("doubled", [1, 1, 2, 2]), ("late", [1, 2]), ("shuffled", [1, 2]), ("lost", [])])
async def test_webhooks_have_the_faults_of_webhooks(fault: str, heard: list[int]) -> None:
    listener = Listener()
    courier = Courier(listener)
    number = await tracking_number_of(courier)
    await courier.fault(webhooks=fault, seconds=20.0)
    await courier.happen(number, "picked_up", "in_transit")
    if fault in ("late", "shuffled"):
        assert (await courier.tell(), fault) in ((0, "late"), (0, "shuffled"), (1, "shuffled"))
        courier.seconds = 21.0
    await courier.tell()
    assert sorted(event["sequence"] for event in listener.heard) == heard
    assert len((await look(courier)).json()["events"]) == 2, "whoever asks is told all"


async def test_by_itself_a_parcel_goes_its_way_at_its_pace_and_ends() -> None:
    courier = Courier(Listener(), pace_seconds=10)
    number = await tracking_number_of(courier)
    for _ in range(3):
        courier.courier.play()
        courier.seconds += 11.0
    await courier.happen(number, "delivery_failed")
    for _ in range(9):
        courier.seconds += 11.0
        courier.courier.play()
    kinds = [event["kind"] for event in (await look(courier)).json()["events"]]
    assert kinds == ["picked_up", "in_transit", "delivery_failed", "out_for_delivery", "delivered"]
    late = await courier.hand.post(f"/sandbox/parcels/{number}/events", json={"kind": "lost"})
    assert (late.status_code, late.json()["title"]) == (409, "parcel-at-its-end")


async def test_after_a_restart_it_knows_its_parcels_and_tells_what_was_not_heard(tmp_path: Path) -> None:
    file, listener = tmp_path / "courier.jsonl", Listener()
    before = Courier(listener, state_file=file)
    first = await book(before)
    number = first.json()["tracking_number"]
    await before.happen(number, "picked_up")
    await before.tell()
    await before.happen(number, "delivered")
    with file.open("ab") as stream:
        stream.write(b'{"booked": "torn')
    after = Courier(listener, state_file=file)
    assert (await book(after)).json() == first.json()
    assert (await look(after)).json()["events"][1]["kind"] == "delivered"
    await after.tell()
    assert [event["kind"] for event in listener.heard] == ["picked_up", "delivered"]
    text = file.read_text()
    assert "torn" not in text
    assert "客户" not in text, "it keeps nobody's name"


async def test_two_at_once_share_what_they_know(tmp_path: Path) -> None:
    file = tmp_path / "courier.jsonl"
    one, other = Courier(state_file=file), Courier(state_file=file)
    first = await book(one)
    assert (await book(other)).json() == first.json()
    [event] = await other.happen(first.json()["tracking_number"], "picked_up")
    assert (await look(one)).json()["events"] == [event]


def test_a_journal_without_a_file_still_follows() -> None:
    seen: list[dict[str, Any]] = []
    journal = Journal(None, seen.append)
    with journal.turn():
        journal.write(a=1)
    assert seen == [{"a": 1}]
