"""One booking or notice that cannot be carried out is tried again by itself, loudly; those beside it are not held up."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from services.fulfillment.notices import templates
from services.fulfillment.parcels.contacts import ContactSafe
from tests.support.depot import Depot, running_depot
from tests.support.fulfillment import branch, by_courier
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
TASK = "SELECT state, last_error FROM tasks WHERE kind = %s AND ref = %s"


@pytest.fixture
async def depot(fulfillment_database: TestDatabase, issuer: Issuer) -> AsyncIterator[Depot]:
    async with running_depot(fulfillment_database, issuer) as running:
        await running.fulfillment.write_branches(branch("B001"))
        yield running


class Carrier(httpx.AsyncBaseTransport):
    """Answers bookings with the tracking numbers that it is told to give, by reference."""

    def __init__(self, number_of: Callable[[str], str]) -> None:
        self._number_of = number_of

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reference = request.url.path.rpartition("/")[2]
        told = {"reference": reference, "tracking_number": self._number_of(reference), "carrier": "sandbox-express"}
        return httpx.Response(200, content=json.dumps(told), request=request)


def errors(logs: list[Any], event: str) -> list[dict[str, Any]]:
    return [dict(line) for line in logs if (line["event"], line["log_level"]) == (event, "error")]


@pytest.mark.proves("F1", "G25")
async def test_a_tracking_number_that_is_given_twice_holds_up_that_parcel_alone(depot: Depot) -> None:
    parcels = [(await depot.accept(by_courier()))[1] for _ in range(5)]
    twins = parcels[1:3]
    depot.outside.courier.transport = Carrier(lambda one: "SAME" if one in twins else f"T{one[-12:]}")  # type: ignore[assignment]
    with capture_logs() as logs:
        await depot.leave()
    states = {parcel: depot.state(parcel) for parcel in parcels}
    [culprit] = [parcel for parcel, state in states.items() if state == "dispatching"]
    assert culprit in twins
    assert sorted(states.values()) == ["dispatched"] * 4 + ["dispatching"]
    [(state, error)] = depot.rows(TASK, "dispatch", culprit)
    assert (state, error) == ("ready", "the carrier's answer cannot be written down: uq_parcels_tracking")
    assert [line["parcel"] for line in errors(logs, "dispatch_failed")] == [culprit]
    depot.outside.courier.transport = Carrier(lambda one: f"T{one[-12:]}")  # type: ignore[assignment]
    await depot.leave()
    assert depot.state(culprit) == "dispatched"


@pytest.mark.proves("F1", "G25")
async def test_a_booking_that_cannot_be_made_holds_up_no_other(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    parcels = [(await depot.accept(by_courier()))[1] for _ in range(3)]
    open_address = ContactSafe.open_address

    def spoiled(safe: ContactSafe, parcel_id: Any, sealed: bytes) -> Any:
        if str(parcel_id) == parcels[1]:
            raise KeyError("province")
        return open_address(safe, parcel_id, sealed)

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(ContactSafe, "open_address", spoiled)
        await depot.leave()
    assert [depot.state(parcel) for parcel in parcels] == ["dispatched", "dispatching", "dispatched"]
    assert depot.rows(TASK, "dispatch", parcels[1]) == [("ready", "KeyError")]
    assert [line["parcel"] for line in errors(logs, "dispatch_failed")] == [parcels[1]]
    await depot.leave()
    assert depot.state(parcels[1]) == "dispatched"


@pytest.mark.proves("F7", "G25")
async def test_a_notice_that_cannot_be_written_holds_up_no_other(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    parcels = [(await depot.accept(by_courier()))[1] for _ in range(3)]
    numbers = {one: f"T{one[-12:]}" for one in parcels}
    depot.outside.courier.transport = Carrier(numbers.__getitem__)  # type: ignore[assignment]
    told = templates._told

    def spoiled(name: str, fact: Any, *others: Any) -> str:
        if fact == numbers[parcels[1]]:
            raise ValueError(fact)
        return told(name, fact, *others)

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(templates, "_told", spoiled)
        await depot.leave()
    states = dict(depot.rows("SELECT parcel_id::text, state FROM notices"))
    assert states == {parcels[0]: "sent", parcels[1]: "pending", parcels[2]: "sent"}
    [(notice, failure)] = depot.rows("SELECT id::text, failure FROM notices WHERE state = 'pending'")
    assert failure == "ValueError"
    assert [line["notice"] for line in errors(logs, "notice_failed")] == [notice]
    await depot.leave()
    assert depot.rows("SELECT DISTINCT state FROM notices") == [("sent",)]
