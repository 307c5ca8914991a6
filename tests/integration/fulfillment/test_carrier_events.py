"""What carriers tell: signed, once, in any order, before its time, or not at all; the parcel ends the same (G34)."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from shared.webhooks import sign
from tests.support.outside import CARRIER, CARRIER_KEY
from tests.support.postgres import TestDatabase
from tests.support.road import EVENTS, Road, event, running_road
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def road(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Road]:
    async with running_road(fulfillment_database, issuer) as running:
        yield running


def outcome(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["outcome"]
    return found


@pytest.mark.proves("F1", "G34")
async def test_a_parcel_is_told_of_to_its_end_and_redemption_and_the_customer_hear_of_it(road: Road) -> None:
    [number] = await road.send(language="en")
    await road.courier.happen(number, "picked_up", "in_transit", "out_for_delivery", "delivered")
    await road.courier.tell()
    await road.worker.drain()
    seen = await road.parcel(number)
    assert (seen["state"], seen["tracking_number"], seen["carrier"]) == ("delivered", number, CARRIER)
    assert [line["kind"] for line in seen["events"]][-4:] == ["picked_up", "in_transit", "out_for_delivery", "delivered"]
    assert seen["events"][-1]["place"] == "深圳市营业点 深圳市 depot"
    assert [part["state"] for parts in road.depot.redemption.parts.values() for part in parts] == ["delivered"]
    texts = [message["text"] for message in await road.notifications.see("messages")]
    assert len(texts) == 2
    assert number in texts[0]
    assert "was delivered on" in texts[1]


@pytest.mark.proves("G34")
async def test_an_event_is_taken_once_however_often_it_is_sent(road: Road) -> None:
    [number] = await road.send()
    told = event(number)
    assert [outcome(await road.tell(told)) for _ in range(3)] == ["applied", "repeated", "repeated"]
    other = event(number, "delivered", 2, id=told["id"])
    assert outcome(await road.tell(other)) == "repeated", "an id is one event for ever"
    seen = await road.parcel(number)
    assert [line["kind"] for line in seen["events"]].count("in_transit") == 1
    assert seen["state"] == "dispatched"


@pytest.mark.proves("G34")
@pytest.mark.parametrize(
    "broken",
    [
        {"key": b"x" * 32},
        {"webhook_id": "message-2"},
        {"webhook_timestamp": "1"},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": ""},
        {"at": timedelta(seconds=-310)},
        {"at": timedelta(seconds=310)},
    ],
    ids="-".join,
)
async def test_what_is_not_signed_just_now_by_the_carrier_is_refused_and_changes_nothing(
    road: Road, broken: dict[str, Any]
) -> None:
    [number] = await road.send()
    if "at" in broken:  # counted from now, not from when this file was read
        broken = {"at": datetime.now(UTC) + broken["at"]}
    answer = await road.tell(event(number, "delivered"), **broken)
    assert answer.status_code == 401
    assert answer.json()["type"].endswith("/signature-invalid")
    assert road.depot.rows("SELECT count(*) FROM carrier_events") == [(0,)]
    assert (await road.parcel(number))["state"] == "dispatched"


@pytest.mark.proves("G34")
async def test_a_body_that_was_changed_by_one_byte_is_refused_before_it_is_read(road: Road) -> None:
    told = json.dumps(event("SX1")).encode()
    headers = {**sign(CARRIER_KEY, "m", datetime.now(UTC), told), "Content-Type": "application/json"}
    for changed in (told[:-1] + b" ", told + b" ", told[:-1], b""):
        answer = await road.depot.fulfillment.client.post(EVENTS, content=changed, headers=headers)
        assert answer.status_code == 401
    token = road.depot.fulfillment.issuer.service()
    answer = await road.depot.fulfillment.client.post(
        EVENTS, content=told, headers={**token, "Content-Type": "application/json"}
    )
    assert answer.status_code == 401, "a token is no signature"


@pytest.mark.proves("G35")
async def test_the_database_decides_what_is_just_now(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    async def later(_conn: object) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=10)

    monkeypatch.setattr(road.depot.fulfillment.parts.clock, "now", later)
    assert (await road.tell(event("SX1"))).status_code == 401
    assert (await road.tell(event("SX1"), at=datetime.now(UTC) + timedelta(minutes=10))).status_code == 200


async def test_while_a_carriers_key_changes_both_hold(fulfillment_database: TestDatabase, issuer: Issuer) -> None:
    new, old, gone = b"n" * 32, b"o" * 32, b"g" * 32
    async with running_road(fulfillment_database, issuer, carrier_secrets={CARRIER: [new, old]}) as road:
        assert [(await road.tell(event("SX1"), key=key)).status_code for key in (new, old, gone)] == [200, 200, 401]


async def test_an_unknown_carrier_does_not_exist(road: Road) -> None:
    for name in ("another-express", "", "sandbox-express%2F", "SANDBOX-EXPRESS"):
        assert (await road.tell(event("SX1"), path=f"/v1/carriers/{name}/events")).status_code in (404, 405)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "exploded"}, 422),
        ({"sequence": 0}, 422),
        ({"sequence": "1"}, 422),
        ({"sequence": 2**31}, 422),
        ({"at": "2026-11-01T08:00:00"}, 422),
        ({"id": ""}, 422),
        ({"id": "x" * 65}, 422),
        ({"tracking_number": "x" * 65}, 422),
        ({"place": "x" * 201}, 422),
        ({"place": "\x00"}, 400),
        ({"more": 1}, 422),
    ],
)
async def test_what_a_carrier_signs_is_read_strictly_all_the_same(road: Road, change: dict[str, Any], status: int) -> None:
    answer = await road.tell(event("SX1", **change))
    assert answer.status_code == status, answer.text
    if status == 422:
        assert [one["field"] for one in answer.json()["errors"]] == list(change)
    assert (await road.tell(b"{")).status_code == 400
    assert (await road.tell(b'{"id": "1", "id": "2"}')).status_code == 400
    assert (await road.tell(b" " * 9000)).status_code == 413
    assert (await road.tell(event("SX1"), Content_Type="text/plain")).status_code == 415


@pytest.mark.proves("F1", "G34")
async def test_events_that_come_before_the_parcel_is_known_wait_for_it(road: Road) -> None:
    [parcel] = await road.accept()
    await road.courier.fault(mode="lose_answer", times=1)
    road.hurry("dispatch")
    await road.once("dispatch")
    [booked] = await road.courier.see("parcels")
    number = booked["tracking_number"]
    assert road.depot.state(parcel) == "dispatching", "the answer was lost"
    await road.courier.happen(number, "picked_up", "delivered")
    await road.courier.tell()
    waiting = "SELECT count(*), count(applied_at) FROM carrier_events"
    assert road.depot.rows(waiting) == [(2, 0)]
    road.hurry("apply_carrier_events")
    await road.once("carrier events")
    assert road.depot.rows(waiting) == [(2, 0)], "still unknown, and asked for again later"
    road.hurry("dispatch")
    await road.worker.drain()
    assert road.depot.rows("SELECT tracking_number FROM parcels") == [(number,)]
    road.hurry("apply_carrier_events")
    await road.worker.drain()
    assert road.depot.rows(waiting) == [(2, 2)]
    assert (await road.parcel(number))["state"] == "delivered"
    live = "SELECT count(*) FROM tasks WHERE kind = 'apply_carrier_events' AND state <> 'done'"
    assert road.depot.rows(live) == [(0,)]


async def test_an_event_of_a_parcel_that_is_nobodys_is_kept_and_one_day_no_longer_looked_for(road: Road) -> None:
    assert outcome(await road.tell(event("SX-NOBODYS"))) == "kept"
    tasks = "SELECT extract(epoch FROM run_at - now())::int FROM tasks WHERE kind = 'apply_carrier_events' AND state = 'ready'"
    assert road.depot.rows(tasks)[0][0] <= 1
    road.change("UPDATE carrier_events SET received_at = now() - interval '1 hour'")
    road.hurry("apply_carrier_events")
    await road.worker.drain()
    assert 1700 < road.depot.rows(tasks)[0][0] <= 1800, "after half of the time that it has waited"
    road.change("UPDATE carrier_events SET received_at = now() - interval '31 days'")
    road.hurry("apply_carrier_events")
    await road.worker.drain()
    assert road.depot.rows(tasks) == []
    assert road.depot.rows("SELECT count(*) FROM carrier_events WHERE applied_at IS NULL") == [(1,)]


@pytest.mark.proves("F1", "G34")
async def test_events_that_were_lost_are_asked_for_within_the_hour(road: Road) -> None:
    [number] = await road.send()
    due = "SELECT extract(epoch FROM run_at - now())::int FROM tasks WHERE kind = 'follow_parcel' AND state = 'ready'"
    assert 3500 < road.depot.rows(due)[0][0] <= 3600
    await road.courier.fault(webhooks="lost")
    await road.courier.happen(number, "picked_up", "delivery_failed")
    assert await road.courier.tell() == 0
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert (await road.parcel(number))["state"] == "failed"
    for _ in range(2):
        assert 3500 < road.depot.rows(due)[0][0] <= 3600, "and again in an hour, whether there was news or not"
        road.hurry("follow_parcel")
        await road.worker.drain()
    await road.courier.fault(mode="fail", times=1)
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert 250 < road.depot.rows(due)[0][0] <= 300, "a carrier that did not answer is asked again sooner"
    await road.courier.happen(number, "delivered")
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert (await road.parcel(number))["state"] == "delivered"
    assert road.depot.rows(due) == [], "at its end nobody asks any more"


@pytest.mark.proves("G34")
async def test_a_webhook_and_a_poll_that_tell_the_same_tell_it_once(road: Road) -> None:
    [number] = await road.send()
    await road.courier.fault(webhooks="doubled")
    await road.courier.happen(number, "picked_up", "in_transit")
    await road.courier.tell()
    road.hurry("follow_parcel")
    await road.worker.drain()
    assert road.depot.rows("SELECT count(*) FROM carrier_events") == [(2,)]
    assert road.depot.rows("SELECT count(*) FROM parcel_events WHERE sequence IS NOT NULL") == [(2,)]


LOGS: dict[str, Sequence[str]] = {
    "delivered": ("picked_up", "in_transit", "out_for_delivery", "delivered"),
    "failed once": ("picked_up", "delivery_failed", "out_for_delivery", "delivered"),
    "still failed": ("picked_up", "delivery_failed", "out_for_delivery"),
    "failed twice": ("delivery_failed", "in_transit", "delivery_failed"),
    "returned": ("picked_up", "delivery_failed", "returned"),
    "lost": ("picked_up", "in_transit", "lost"),
}


def final(road: Road) -> list[tuple[Any, ...]]:
    """What must not depend on the order: by tracking number the state, and the timeline as it is read."""
    return road.depot.rows(
        """
        SELECT p.tracking_number, p.state, p.carrier_sequence,
               (SELECT json_agg(json_build_array(e.kind, e.sequence, e.at, e.place) ORDER BY coalesce(e.sequence, 0), e.number)
                  FROM parcel_events e WHERE e.parcel_id = p.id AND e.sequence IS NOT NULL)
          FROM parcels p ORDER BY p.tracking_number
        """
    )


@pytest.mark.proves("G34")
async def test_whatever_the_order_and_however_often_parcels_end_the_same_with_the_same_timeline(road: Road) -> None:
    """Every order of each log, each order with every event sent twice, all orders of all logs mixed with one another."""
    dice = random.Random(34)
    orders = {name: list(itertools.permutations(range(len(log)))) for name, log in LOGS.items()}
    wanted = [(name, order) for name in LOGS for order in orders[name]]
    numbers = await road.send(len(wanted))
    stream: list[list[dict[str, Any]]] = []
    for number, (name, order) in zip(numbers, wanted, strict=True):
        told = [event(number, kind, sequence, id=f"{number}-{sequence}") for sequence, kind in enumerate(LOGS[name], start=1)]
        for one in told:
            road.courier.know(one)
        sent = [told[place] for place in order]
        for repeated in dice.sample(sent, 2):
            sent.insert(dice.randrange(len(sent) + 1), repeated)
        stream.append(sent)
    while stream:
        one = dice.choice(stream)
        answer = await road.tell(one.pop(0))
        assert outcome(answer) in ("applied", "repeated", "kept")
        stream = [rest for rest in stream if rest]
    await road.worker.drain()  # what would give points back is asked for first
    ends = {name: set[str]() for name in LOGS}
    for (name, _), (number, state, sequence, timeline) in zip(
        wanted, sorted(final(road), key=lambda row: numbers.index(row[0])), strict=True
    ):
        assert [line[0] for line in timeline] == list(LOGS[name]), number
        ends[name].add(json.dumps([state, sequence, [line[1:] for line in timeline]]))
    assert {name: len(found) for name, found in ends.items()} == dict.fromkeys(LOGS, 1)
    states = {name: json.loads(next(iter(found)))[0] for name, found in ends.items()}
    assert states == {
        "delivered": "delivered",
        "failed once": "delivered",
        "still failed": "failed",
        "failed twice": "failed",
        "returned": "returned",
        "lost": "lost",
    }


@pytest.mark.proves("G34")
async def test_the_carriers_own_disorder_ends_the_same(road: Road) -> None:
    numbers = await road.send(6)
    await road.courier.fault(webhooks="shuffled", seconds=30.0)
    for number in numbers:
        await road.courier.happen(number, "picked_up", "delivery_failed", "out_for_delivery", "delivered")
    for moment in range(0, 40, 5):
        road.courier.seconds = float(moment)
        await road.courier.tell()
    assert {row[1] for row in final(road)} == {"delivered"}
    assert {tuple(line[1] for line in row[3]) for row in final(road)} == {(1, 2, 3, 4)}


async def test_what_was_said_is_kept_for_ever(road: Road, fulfillment_database: TestDatabase) -> None:
    await road.tell(event("SX1"))
    with psycopg.connect(fulfillment_database.url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("DELETE FROM carrier_events")


@pytest.mark.proves("P4")
async def test_the_books_find_a_parcel_that_has_not_heard_and_a_notice_that_nothing_sends(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    async with running_road(fulfillment_database, issuer, books=False) as road:
        [number] = await road.send()
        assert outcome(await road.tell(event(number))) == "applied"
        assert await road.depot.fulfillment.breaks() == []
        road.change("UPDATE carrier_events SET applied_at = NULL, received_at = now() - interval '2 hours'")
        assert await road.depot.fulfillment.breaks() == [], "it may still be on its way"
        road.change("UPDATE carrier_events SET received_at = now() - interval '4 hours'")
        [found] = await road.depot.fulfillment.breaks()
        assert found["kind"] == "carrier-event-unheard"
        road.change("UPDATE carrier_events SET applied_at = now()")
        road.change("UPDATE notices SET state = 'pending', language = NULL, reference = NULL", unguarded=True)
        [found] = await road.depot.fulfillment.breaks()
        assert found["kind"] == "notice-unsent"


@pytest.mark.proves("G34", "P4")
async def test_what_a_carrier_says_after_the_end_is_kept_and_named_and_the_end_stays(
    fulfillment_database: TestDatabase, issuer: Issuer
) -> None:
    async with running_road(fulfillment_database, issuer, books=False) as road:
        [number] = await road.send()
        with capture_logs() as logs:
            await road.courier.happen(number, "picked_up", "lost")
            road.hurry("follow_parcel")
            await road.worker.drain()
            assert outcome(await road.tell(event(number, "out_for_delivery", 3))) == "applied"
            assert outcome(await road.tell(event(number, "delivered", 4))) == "applied"
        seen = await road.parcel(number)
        assert seen["state"] == "lost"
        assert [line["kind"] for line in seen["events"]][-3:] == ["lost", "out_for_delivery", "delivered"]
        [said] = [line for line in logs if line["event"] == "carrier_contradicts"]
        assert (said["log_level"], said["state"], said["kind"]) == ("error", "lost", "delivered")
        [found] = await road.depot.fulfillment.breaks()
        assert (found["kind"], found["detail"]) == (
            "carrier-contradicts",
            "is lost, and after that its carrier told of delivered",
        )
        road.change("UPDATE parcel_events SET recorded_at = now() - interval '31 days'", unguarded=True)
        assert await road.depot.fulfillment.breaks() == []
