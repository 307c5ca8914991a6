"""The fault matrix: each step of a redemption meets each fault, then is left alone; it ends as it must and the books agree."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest

from services.redemption.redemptions.use_cases.drive import DRIVER, drive_claimed
from shared import failpoints
from tests.recovery.street import CONSUME, FULFIL, RELEASE, RESERVE, Street, dying_at, open_street
from tests.support.postgres import TestServer
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

Cell = Callable[[Street], Awaitable[None]]
CELLS: dict[tuple[str, str], Cell] = {}


def cell(step: str, fault: str) -> Callable[[Cell], Cell]:
    def note(test: Cell) -> Cell:
        assert (step, fault) not in CELLS
        CELLS[step, fault] = test
        return test

    return note


@pytest.fixture(scope="module")
async def whole_street(postgres: TestServer, issuer: Issuer, anyio_backend: str) -> AsyncIterator[Street]:
    async with open_street(postgres, issuer) as opened:
        yield opened


@pytest.fixture
async def street(whole_street: Street) -> AsyncIterator[Street]:
    await whole_street.new_customer()
    yield whole_street
    failpoints.arm()
    for wire in (whole_street.catalog, whole_street.fulfillment):
        wire.faults.clear()
        wire.late.clear()


# Accept: the customer's request and the first commit.


@cell("accept", "crash before")
async def _(street: Street) -> None:
    with dying_at("accept.before_commit"):
        assert (await street.redeem()).status_code == 500
    assert street.count_redemptions() == 0
    assert (await street.redeem()).status_code == 201
    await street.ends("fulfilled", 1)


@cell("accept", "crash after commit")
async def _(street: Street) -> None:
    with dying_at("accept.after_commit"):
        assert (await street.redeem()).status_code == 500
    again = await street.redeem()
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "idempotency-in-flight")
    await street.ends("fulfilled", 1)


@cell("accept", "client gone")
async def _(street: Street) -> None:
    request = asyncio.create_task(street.redeem(2))
    await asyncio.sleep(0.002)
    request.cancel()
    await asyncio.wait({request})
    async with asyncio.timeout(10):
        while (await street.redeem(2)).status_code != 201:
            await asyncio.sleep(0.05)
    await street.ends("fulfilled", 2)


@cell("accept", "duplicate")
async def _(street: Street) -> None:
    answers = await asyncio.gather(*(street.redeem(2) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {201, 202, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    await street.ends("fulfilled", 2)


@cell("accept", "own database down")
async def _(street: Street) -> None:
    with street.database_down("redemption"):
        started = time.monotonic()
        assert (await street.redeem()).status_code == 503
        assert time.monotonic() - started < 5
    async with asyncio.timeout(10):
        while (await street.redeem()).status_code != 201:
            await asyncio.sleep(0.05)
    await street.ends("fulfilled", 1)


@cell("accept", "poison")
async def _(street: Street) -> None:
    assert (await street.redeem(0)).status_code == 422
    assert (await street.redeem(1)).status_code == 201  # the key was not spent on it
    await street.ends("fulfilled", 1)


# Reserve: the call to the catalog.


@cell("reserve", "crash after call")
async def _(street: Street) -> None:
    with dying_at("drive.after_call"):
        assert (await street.redeem()).status_code == 202
    await street.ends("fulfilled", 1)


@cell("reserve", "out of order")
async def _(street: Street) -> None:
    street.catalog.faults[RESERVE] = ["late"]
    assert (await street.redeem()).status_code == 202
    street.time_passes(deadline=True)
    await street.rest()  # declined and released, while the request is still on its way
    assert [item["outcome"] for item in await street.catalog.deliver_late()] == ["released"]
    await street.ends("declined", 1)


@cell("reserve", "down past the deadline")
async def _(street: Street) -> None:
    street.catalog.faults[RESERVE] = ["down"]
    street.catalog.faults[RELEASE] = ["down", "down"]
    assert (await street.redeem()).status_code == 202
    street.time_passes(deadline=True)
    await street.work()
    assert street.redemption()[1] == "declined"  # at once, though the release waits for the catalog
    assert (await street.suite.points(street.subject))["held"] == 0
    await street.ends("declined", 1)
    assert (await street.redeem()).json()["type"].endswith("/catalog-unavailable")


@cell("reserve", "refused after doubt")
async def _(street: Street) -> None:
    street.catalog.faults[RESERVE] = ["late"]
    assert (await street.redeem()).status_code == 202
    street.change("catalog", "UPDATE campaigns SET state = 'paused'")
    street.catalog.seen.clear()
    await street.rest()
    assert RELEASE in street.catalog.seen  # what may still be on its way is released too
    street.change("catalog", "UPDATE campaigns SET state = 'live'")
    await street.catalog.deliver_late()  # the campaign is open again; the attempt that was held up still takes nothing
    await street.ends("declined", 1)


@cell("reserve", "poison")
async def _(street: Street) -> None:
    street.catalog.faults[RESERVE] = ["refused"] * 20  # as often as it may be asked before the deadline
    assert (await street.redeem()).status_code == 202
    street.time_passes()
    await street.work()
    street.time_passes(deadline=True)
    await street.ends("declined", 1)


# Post: the commit that is the pivot.


@cell("post", "crash before")
async def _(street: Street) -> None:
    with dying_at("drive.before_commit"):
        assert (await street.redeem()).status_code == 202
        street.time_passes()
        await street.work()  # the worker dies there too
    found, state = street.redemption()
    assert state == "accepted"
    assert street.value("redemption", "SELECT count(*) FROM postings WHERE redemption_id = %s", found) == 0
    await street.ends("fulfilled", 1)


@cell("post", "answer lost")
async def _(street: Street) -> None:
    assert (await street.redeem()).status_code == 201  # and nobody heard it
    await street.ends("fulfilled", 1)


@cell("post", "duplicate")
async def _(street: Street) -> None:
    with dying_at("accept.after_commit"):
        await street.redeem()
    street.time_passes()
    parts = street.suite.redemption.state.parts
    async with parts.database.transaction() as conn:
        claims = await parts.tasks.claim(conn, ["drive"], 10)
    await asyncio.gather(drive_claimed(parts, claims), drive_claimed(parts, claims))
    await street.ends("fulfilled", 1)


@cell("post", "stale owner")
async def _(street: Street) -> None:
    with dying_at("accept.after_commit"):
        await street.redeem()
    parts = street.suite.redemption.state.parts
    claims = []
    for _ in range(2):
        street.time_passes()
        async with parts.database.transaction() as conn:
            claims.append(await parts.tasks.claim(conn, ["drive"], 10))
    await drive_claimed(parts, claims[0])  # its lease is over, another one holds the task
    assert street.redemption()[1] == "accepted"
    await drive_claimed(parts, claims[1])
    assert street.redemption()[1] == "confirmed"
    await street.ends("fulfilled", 1)


@cell("post", "out of order")
async def _(street: Street) -> None:
    assert (await street.redeem()).status_code == 201
    for statement in (
        "UPDATE holds SET state = 'released' WHERE redemption_id = %s",
        "UPDATE redemptions SET state = 'declined', reasons = '[{}]' WHERE id = %s",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            street.change("redemption", statement, street.redemption()[0])
    await street.ends("fulfilled", 1)


@cell("post", "own database down")
async def _(street: Street) -> None:
    with dying_at("accept.after_commit"):
        await street.redeem()
    street.time_passes()
    with street.database_down("redemption"):
        await street.work()
    await street.ends("fulfilled", 1)


# Fulfil: the call to fulfillment, for ever.


@cell("fulfil", "crash after call")
async def _(street: Street) -> None:
    assert (await street.redeem(3)).status_code == 201
    with dying_at("fulfil.after_call"):
        await street.work()
    assert street.redemption()[1] == "confirmed"
    await street.ends("fulfilled", 3)


@cell("fulfil", "crash before commit")
async def _(street: Street) -> None:
    assert (await street.redeem(3)).status_code == 201
    with dying_at("fulfil.before_commit"):
        await street.work()
    assert street.redemption()[1] == "confirmed"
    await street.ends("fulfilled", 3)


@cell("fulfil", "its database down")
async def _(street: Street) -> None:
    assert (await street.redeem()).status_code == 201
    with street.database_down("fulfillment"):
        await street.work()
        assert street.redemption()[1] == "confirmed"
    await street.ends("fulfilled", 1)


# Consume and release: the calls that settle the reservation.


@cell("consume", "crash after call")
async def _(street: Street) -> None:
    assert (await street.redeem()).status_code == 201
    with dying_at("consume.after_call"):
        await street.work()
    await street.ends("fulfilled", 1)


@cell("consume", "out of order")
async def _(street: Street) -> None:
    street.catalog.faults[CONSUME] = ["late"]
    assert (await street.redeem()).status_code == 201
    await street.rest()
    assert [item["outcome"] for item in await street.catalog.deliver_late()] == ["consumed"]
    found, _ = street.redemption()
    [outcome] = await street.suite.catalog.put("reservations/releases", [{"id": found}])
    assert outcome["outcome"] == "consumed"  # too late: what was handed out is not given back
    await street.ends("fulfilled", 1)


@cell("release", "crash after call")
async def _(street: Street) -> None:
    with dying_at("release.after_call"):
        await _declined(street)
        street.time_passes()
        await street.work()
        found, _ = street.redemption()
        assert street.value("redemption", "SELECT count(*) FROM tasks WHERE ref = %s AND state <> 'done'", found) == 1
    await street.ends("declined", 1)


# A voucher used at a till.


@cell("use", "duplicate")
async def _(street: Street) -> None:
    code, number = await _voucher(street), f"N-{street.subject}"
    answers = await asyncio.gather(*(_use(street, number, code) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    await _is_used(street, [number])


@cell("use", "out of order")
async def _(street: Street) -> None:
    code, number = await _voucher(street), f"N-{street.subject}"
    reversal = await street.suite.tills.put(f"/v1/uses/{number}/reversal", json={}, headers=street.suite.issuer.till())
    assert reversal.status_code == 200
    assert (await _use(street, number, code)).status_code == 409
    await _is_used(street, [])


@cell("use", "its database down")
async def _(street: Street) -> None:
    code, number = await _voucher(street), f"N-{street.subject}"
    with street.database_down("fulfillment"):
        assert (await _use(street, number, code)).status_code == 503
    async with asyncio.timeout(10):
        while (await _use(street, number, code)).status_code != 200:
            await asyncio.sleep(0.05)
    await _is_used(street, [number])


@cell("use", "poison")
async def _(street: Street) -> None:
    await _voucher(street)
    assert (await _use(street, f"N-{street.subject}", "AAAA-AAAA-AAAA-AAAA")).status_code == 404
    assert (await _use(street, f"M-{street.subject}", "")).status_code == 422
    await _is_used(street, [])


FAULTS = {
    "lost request": ["lost-request"],
    "lost answer": ["lost-answer"],
    "duplicate": ["twice"],
    "down": ["down"] * 3,
    "poison answer": ["nonsense"],
}


def _with_fault(path: str, faults: list[str], *, declining: bool = False) -> Cell:
    async def test(street: Street) -> None:
        wire = street.fulfillment if path == FULFIL else street.catalog
        if declining:
            await _declined(street, *faults)
        else:
            wire.faults[path] = list(faults)
            assert (await street.redeem(2)).status_code in (201, 202)
        await street.ends("declined" if declining else "fulfilled", 1 if declining else 2)
        assert not wire.faults[path], "the fault was never met"

    return test


def _use_dying_at(point: str) -> Cell:
    async def test(street: Street) -> None:
        code, number = await _voucher(street), f"N-{street.subject}"
        with dying_at(point):
            assert (await _use(street, number, code)).status_code == 500
        assert (await _use(street, number, code)).status_code == 200
        await _is_used(street, [number])

    return test


for name, faults in FAULTS.items():
    for step, path in (("reserve", RESERVE), ("fulfil", FULFIL), ("consume", CONSUME)):
        CELLS[step, name] = _with_fault(path, faults)
    CELLS["release", name] = _with_fault(RELEASE, faults, declining=True)
for step, path in (("fulfil", FULFIL), ("consume", CONSUME)):
    CELLS[step, "poison"] = _with_fault(path, ["refused"] * 3)
CELLS["release", "poison"] = _with_fault(RELEASE, ["refused"] * 3, declining=True)
CELLS["use", "crash before"] = _use_dying_at("use.before_commit")
CELLS["use", "crash after commit"] = _use_dying_at("use.after_commit")


async def _declined(street: Street, *faults: str) -> None:
    """A redemption that was declined in doubt: its reserve was carried out, its release is still to come."""
    street.catalog.faults[RESERVE] = ["lost-answer"]
    street.catalog.faults[RELEASE] = ["down", *faults]
    assert (await street.redeem()).status_code == 202
    street.time_passes(deadline=True)
    await street.work()
    assert street.redemption()[1] == "declined"


async def _voucher(street: Street) -> str:
    assert (await street.redeem()).status_code == 201
    await street.rest()
    headers = street.suite.issuer.customer(street.subject)
    [voucher] = (await street.suite.tills.get("/v1/vouchers", headers=headers)).json()["items"]
    answer = await street.suite.tills.get(f"/v1/vouchers/{voucher['id']}/code", headers=headers)
    code: str = answer.json()["code"]
    return code


async def _use(street: Street, number: str, code: str):
    return await street.suite.tills.put(f"/v1/uses/{number}", json={"code": code}, headers=street.suite.issuer.till())


async def _is_used(street: Street, numbers: list[str]) -> None:
    found, _ = street.redemption()
    query = (
        "SELECT coalesce(array_agg(u.request_number), '{}') FROM uses u JOIN vouchers v ON v.id = u.voucher_id "
        "WHERE u.state = 'live' AND v.fulfillment_id = %s"
    )
    assert street.value("fulfillment", query, found) == numbers
    assert (await street.suite.breaks()) == []


@pytest.mark.proves("G10", "G14", "G15", "G19", "G22", "G27", "G29", "X3")
@pytest.mark.parametrize(("step", "fault"), sorted(CELLS), ids=lambda word: word.replace(" ", "-"))
async def test_the_step_meets_the_fault_and_it_ends_as_it_must(street: Street, step: str, fault: str) -> None:
    await CELLS[step, fault](street)


@pytest.mark.proves("G33")
async def test_no_call_leaves_while_a_transaction_is_open(street: Street) -> None:
    parts = street.suite.redemption.state.parts
    for call in (lambda: parts.catalog.release([uuid.uuid4()], DRIVER), parts.fulfillment.breaks, parts.catalog.breaks):
        seen = len(street.catalog.seen) + len(street.fulfillment.seen)
        with pytest.raises(RuntimeError, match="inside a transaction"):
            async with parts.database.transaction():
                await call()
        assert len(street.catalog.seen) + len(street.fulfillment.seen) == seen
