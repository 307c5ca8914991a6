"""What comes back: cancelled, not collected, lost; before it was handed out and after it; in parts, again, too much."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from services.catalog.books import BOOKS
from shared import failpoints
from shared.clock import SetClock
from tests.support.catalog import ACTOR, Catalog, batch_row, offer_row, reward_row, row, running_catalog, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

STOCK = "SELECT sum(received), sum(held), sum(consumed) FROM stock_batches"
PLACES = "SELECT total_taken, day_taken FROM quotas"
BUDGET = "SELECT committed_minor, spent_minor FROM budget_lines WHERE line = 'procurement'"
MOVED = "SELECT string_agg(kind || ' ' || quantity, ', ' ORDER BY id) FROM stock_movements WHERE reservation_id IS NOT NULL"
COST = 4_000


def one(database: TestDatabase, query: str) -> tuple[Any, ...]:
    with psycopg.connect(database.superuser_url) as conn:
        found = conn.execute(query).fetchone()
        assert found is not None
        return found


def counters(database: TestDatabase) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """(held, consumed), places taken, (committed, spent) in units."""
    _, held, consumed = one(database, STOCK)
    committed, spent = one(database, BUDGET)
    return (held, consumed), one(database, PLACES)[0], (committed // COST, spent // COST)


def returned(reservation: Mapping[str, Any], *quantities: int, gives_back: str = "stock_and_places") -> dict[str, Any]:
    """A document by which so many units of each line come back."""
    lines = [{"number": n, "quantity": quantity} for n, quantity in enumerate(quantities, start=1) if quantity]
    return {"id": str(uuid.uuid4()), "reservation_id": reservation["id"], "gives_back": gives_back, "lines": lines}


async def give_back(catalog: Catalog, *documents: Mapping[str, Any]) -> list[str]:
    answered = await catalog.put("reservations/returns", documents)
    assert [item["id"] for item in answered] == [document["id"] for document in documents]
    return [item["outcome"] for item in answered]


async def held(catalog: Catalog, *, consumed: bool = False, quantity: int = 5) -> dict[str, Any]:
    """A reservation of so many units, handed out when it is said so."""
    found = wish(("O1", quantity))
    assert (await catalog.put("reservations", [found]))[0]["outcome"] == "held"
    if consumed:
        await settle(catalog, "consumptions", found)
    return found


async def settle(catalog: Catalog, verb: str, reservation: Mapping[str, Any]) -> str:
    outcome: str = (await catalog.put(f"reservations/{verb}", [{"id": reservation["id"]}]))[0]["outcome"]
    return outcome


@pytest.mark.proves("K7", "K2", "R6")
@pytest.mark.parametrize(
    ("consumed", "gives_back", "expected", "movement"),
    [
        (False, "stock_and_places", ((3, 0), 3, (3, 0)), "given_back 2"),
        (False, "stock", ((3, 0), 5, (3, 2)), "given_back 2"),
        (False, "nothing", ((3, 2), 5, (3, 2)), "lost 2"),
        (True, "stock_and_places", ((0, 3), 3, (0, 3)), "returned 2"),
        (True, "stock", ((0, 3), 5, (0, 5)), "returned 2"),
        (True, "nothing", ((0, 5), 5, (0, 5)), None),
    ],
)
async def test_two_of_five_come_back_and_every_counter_says_so(
    catalog: Catalog,
    catalog_database: TestDatabase,
    consumed: bool,
    gives_back: str,
    expected: tuple[Any, ...],
    movement: str | None,
) -> None:
    await catalog.open()
    reservation = await held(catalog, consumed=consumed)
    before = one(catalog_database, MOVED)[0]
    document = returned(reservation, 2, gives_back=gives_back)
    assert await give_back(catalog, document) == ["returned"]
    assert counters(catalog_database) == expected
    assert one(catalog_database, MOVED)[0] == ", ".join(filter(None, [before, movement]))
    assert await give_back(catalog, document, document) == ["returned", "returned"], "the same document is the same return"
    assert counters(catalog_database) == expected
    assert await catalog.breaks() == []


@pytest.mark.proves("K7", "G11")
@pytest.mark.parametrize(
    ("gives_back", "consumed_then", "released_then"),
    [
        ("stock_and_places", ((0, 3), 3, (0, 3)), ((0, 0), 0, (0, 0))),
        ("stock", ((0, 3), 5, (0, 5)), ((0, 0), 2, (0, 2))),
        ("nothing", ((0, 5), 5, (0, 5)), ((0, 2), 2, (0, 2))),
    ],
)
async def test_after_a_part_came_back_the_rest_alone_is_handed_out_or_released(
    catalog: Catalog, catalog_database: TestDatabase, gives_back: str, consumed_then: Any, released_then: Any
) -> None:
    await catalog.open()
    handed_out = await held(catalog)
    await give_back(catalog, returned(handed_out, 2, gives_back=gives_back))
    assert await settle(catalog, "consumptions", handed_out) == "consumed"
    assert await settle(catalog, "consumptions", handed_out) == "consumed"
    assert counters(catalog_database) == consumed_then
    assert await catalog.breaks() == []
    released = await held(catalog)
    await give_back(catalog, returned(released, 2, gives_back=gives_back))
    assert await settle(catalog, "releases", released) == "released"
    assert await settle(catalog, "releases", released) == "released"
    (stock, taken, budget), (stock_before, taken_before, budget_before) = counters(catalog_database), consumed_then
    assert (stock[0], stock[1] - stock_before[1]) == released_then[0]
    assert taken - taken_before == released_then[1]
    assert (budget[0], budget[1] - budget_before[1]) == released_then[2]
    assert await catalog.breaks() == []


@pytest.mark.proves("K7")
async def test_never_more_comes_back_than_was_taken_and_then_nothing_is_changed(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    reservation = await held(catalog, consumed=True)
    await give_back(catalog, returned(reservation, 4))
    before = counters(catalog_database)
    several = [returned(reservation, 2), returned(reservation, 1, gives_back="stock"), returned(reservation, 1)]
    assert await give_back(catalog, *several) == ["too_many", "returned", "too_many"]
    assert counters(catalog_database) == ((before[0][0], before[0][1] - 1), before[1], before[2])
    assert await give_back(catalog, several[0]) == ["too_many"]
    assert await give_back(catalog, returned(reservation, 0, 1)) == ["too_many"], "there is no second line"
    assert one(catalog_database, "SELECT count(*) FROM reservation_returns") == (2,)
    assert await settle(catalog, "releases", reservation) == "consumed"


async def test_what_was_released_refused_or_never_reserved_gives_nothing_back(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=5)])
    released = await held(catalog)
    refused = wish(("O1", 1))
    assert (await catalog.put("reservations", [refused]))[0]["outcome"] == "refused"
    await settle(catalog, "releases", released)
    tombstone = wish()
    await settle(catalog, "releases", tombstone)
    documents = [returned(which, 1) for which in (released, refused, tombstone, wish())]
    assert await give_back(catalog, *documents) == ["too_many", "too_many", "too_many", "unknown"]
    assert one(catalog_database, "SELECT count(*) FROM reservation_returns") == (0,)
    assert one(catalog_database, STOCK) == (5, 0, 0)


async def test_another_document_under_a_known_id_is_a_mismatch_and_changes_nothing(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open()
    reservation, other = await held(catalog), await held(catalog)
    document = returned(reservation, 1)
    changed = [
        {**document, "lines": [{"number": 1, "quantity": 2}]},
        {**document, "gives_back": "stock"},
        {**document, "reservation_id": other["id"]},
        {**document, "reservation_id": str(uuid.uuid4())},
    ]
    assert await give_back(catalog, document, *changed) == ["returned", *["mismatch"] * 4]
    before = counters(catalog_database)
    assert await give_back(catalog, *changed, document) == [*["mismatch"] * 4, "returned"]
    assert counters(catalog_database) == before


@pytest.mark.proves("K7")
async def test_units_go_back_to_the_batches_they_came_from_the_one_that_can_be_sold_longest_first(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    await catalog.open(
        stock_batches=[
            batch_row("B1", quantity=2),
            batch_row("B2", quantity=2, expires_on="2029-12-31"),
            batch_row("B3", quantity=3, expires_on="2030-12-31"),
        ]
    )
    reservation = await held(catalog, consumed=True, quantity=6)
    per_batch = "SELECT array_agg(consumed ORDER BY code) FROM stock_batches"
    assert one(catalog_database, per_batch) == ([1, 2, 3],)
    for expected in ([0, 2, 3], [0, 2, 2], [0, 2, 1]):
        assert await give_back(catalog, returned(reservation, 1, gives_back="stock")) == ["returned"]
        assert one(catalog_database, per_batch) == (expected,)
    assert await give_back(catalog, returned(reservation, 3, gives_back="nothing")) == ["returned"]
    assert one(catalog_database, per_batch) == ([0, 2, 1],)
    assert await catalog.breaks() == []


@pytest.mark.proves("K7")
async def test_what_came_back_can_be_had_again(catalog: Catalog) -> None:
    await catalog.open(stock_batches=[batch_row(quantity=5)], offers=[offer_row(quota_total=6)])
    reservation = await held(catalog, consumed=True)
    assert (await catalog.put("reservations", [wish()]))[0]["reasons"][0]["code"] == "out-of-stock"
    await give_back(catalog, returned(reservation, 2, gives_back="stock"))
    first, second = await catalog.put("reservations", [wish(), wish()])
    assert first["outcome"] == "held"
    assert second["reasons"][0]["code"] == "quota-exhausted", "what merely came back has used its place up"
    await give_back(catalog, returned(reservation, 1))
    assert (await catalog.put("reservations", [wish()]))[0]["outcome"] == "held"


@pytest.mark.proves("K2")
async def test_places_come_back_to_the_day_on_which_they_were_counted(catalog_database: TestDatabase, issuer: Issuer) -> None:
    clock = SetClock(dt.datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai")))
    async with running_catalog(catalog_database, issuer, clock=clock) as catalog:
        await catalog.open(offers=[offer_row(quota_per_day=4)])
        yesterday = await held(catalog, quantity=3)
        await give_back(catalog, returned(yesterday, 1))
        assert one(catalog_database, PLACES) == (2, 2)
        clock.advance(dt.timedelta(days=1))
        await held(catalog, quantity=4)
        await give_back(catalog, returned(yesterday, 2))
        assert one(catalog_database, PLACES) == (4, 4), "yesterday's places do not widen today's quota"


@pytest.mark.proves("K7")
async def test_many_reservations_of_several_lines_give_back_in_one_call(
    catalog: Catalog, catalog_database: TestDatabase
) -> None:
    rewards = ("R1", "R2", "R3")
    await catalog.open(
        rewards=[reward_row(code) for code in rewards],
        offers=[offer_row(f"O{n}", code) for n, code in enumerate(rewards, start=1)],
        stock_batches=[batch_row(f"B{n}", code, 500) for n, code in enumerate(rewards, start=1)],
        budget=[row("budget", line="procurement", amount_minor=64 * 8 * COST)],
    )
    wishes = [wish(("O1", 3), ("O2", 1), ("O3", 4)) for _ in range(64)]
    await catalog.put("reservations", wishes)
    for reservation in wishes[::2]:
        await settle(catalog, "consumptions", reservation)
    documents = [returned(reservation, 2, 1, 0) for reservation in wishes]
    assert await give_back(catalog, *documents) == ["returned"] * 64
    assert one(catalog_database, STOCK) == (1500, 32 * 5, 32 * 5)
    assert one(catalog_database, BUDGET) == (32 * 5 * COST, 32 * 5 * COST)
    assert one(catalog_database, "SELECT sum(returned), sum(places_returned) FROM reservation_lines") == (192, 192)
    assert await catalog.breaks() == []


@pytest.mark.proves("P4")
async def test_the_list_of_reservations_tells_what_came_back_of_each_line(catalog: Catalog) -> None:
    await catalog.open(rewards=[reward_row("R1"), reward_row("R2")], offers=[offer_row("O1"), offer_row("O2", "R2")],
                       stock_batches=[batch_row("B1"), batch_row("B2", "R2")])  # fmt: skip
    whole = wish(("O2", 2), ("O1", 3))
    await catalog.put("reservations", [whole])
    await give_back(catalog, returned(whole, 0, 2, gives_back="stock"))
    await settle(catalog, "releases", wish())
    answer = await catalog.client.get("/internal/v1/reservations", headers=catalog.issuer.service())
    assert sorted((item["state"], str(item["lines"])) for item in answer.json()["items"]) == [
        ("held", str([{"number": 1, "quantity": 2, "returned": 0}, {"number": 2, "quantity": 3, "returned": 2}])),
        ("released", "[]"),
    ]


@pytest.mark.proves("G46", "X5")
async def test_every_return_names_who_and_why_in_the_same_commit(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    reservation = await held(catalog)
    document = returned(reservation, 2)
    await give_back(catalog, document)
    query = "SELECT actor, on_behalf_of, reason, after FROM audit_entries WHERE action = 'reservation.returned'"
    assert one(catalog_database, "SELECT subject FROM audit_entries ORDER BY id DESC") == (f"reservation:{reservation['id']}",)
    after = {"return": document["id"], "gives_back": "stock_and_places", "units": 2}
    assert one(catalog_database, query) == ("service:redemption", "customer:customer-00001", "a test", after)
    with psycopg.connect(catalog_database.superuser_url) as conn:
        conn.execute("REVOKE INSERT ON audit_entries FROM catalog_service")
    body = {"actor": ACTOR, "items": [returned(reservation, 1)]}
    answer = await catalog.client.put("/internal/v1/reservations/returns", json=body, headers=catalog.issuer.service())
    assert answer.status_code == 500
    assert counters(catalog_database)[0] == (3, 0)


@pytest.mark.proves("X3")
@pytest.mark.parametrize(("point", "done"), [("before_commit", False), ("after_commit", True)])
async def test_a_return_that_breaks_off_has_happened_whole_or_not_at_all_and_its_repeat_settles_it(
    catalog: Catalog, catalog_database: TestDatabase, point: str, done: bool
) -> None:
    await catalog.open()
    document = returned(await held(catalog, consumed=True), 2)
    failpoints.arm(**{f"return__{point}": "raise"})
    try:
        body = {"actor": ACTOR, "items": [document]}
        answer = await catalog.client.put("/internal/v1/reservations/returns", json=body, headers=catalog.issuer.service())
    finally:
        failpoints.arm()
    assert answer.status_code == 500
    assert (counters(catalog_database)[0] == (0, 3)) is done
    assert await catalog.breaks() == []
    assert await give_back(catalog, document) == ["returned"]
    assert counters(catalog_database)[0] == (0, 3)


FORBIDDEN = (
    ("UPDATE reservation_lines SET returned = quantity + 1", psycopg.errors.CheckViolation),
    ("UPDATE reservation_lines SET places_returned = returned + 1", psycopg.errors.CheckViolation),
    ("UPDATE reservation_lines SET returned = returned - 1", psycopg.errors.RestrictViolation),
    ("UPDATE reservation_draws SET returned = quantity + 1", psycopg.errors.CheckViolation),
    ("UPDATE reservation_draws SET restocked = returned + 1", psycopg.errors.CheckViolation),
    ("UPDATE reservation_draws SET restocked = restocked - 1", psycopg.errors.RestrictViolation),
    ("UPDATE reservation_lines SET quantity = quantity + 1", psycopg.errors.RestrictViolation),
    ("UPDATE reservation_draws SET quantity = quantity + 1", psycopg.errors.RestrictViolation),
    ("DELETE FROM reservation_returns", psycopg.errors.RestrictViolation),
    ("UPDATE reservation_return_lines SET quantity = 1", psycopg.errors.RestrictViolation),
)


@pytest.mark.proves("K7")
async def test_the_database_refuses_what_the_code_must_not_do(catalog: Catalog, catalog_database: TestDatabase) -> None:
    await catalog.open()
    await give_back(catalog, returned(await held(catalog), 2))
    for change, refusal in FORBIDDEN:
        with psycopg.connect(catalog_database.owner_url) as conn, pytest.raises(refusal):
            conn.execute(change)
    for change in ("UPDATE reservation_lines SET quantity = 9", "UPDATE reservation_draws SET batch_id = batch_id"):
        with psycopg.connect(catalog_database.url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(change)


DAMAGE = {
    "UPDATE reservation_lines SET returned = returned + 1": {"line-returns", "line-draw-returns"},
    "UPDATE reservation_lines SET places_returned = places_returned - 1": {"line-returns", "quota", "budget"},
    "UPDATE reservation_draws SET returned = returned + 1": {"line-draw-returns"},
    "UPDATE reservation_draws SET restocked = restocked - 1": {"line-draw-returns", "draw-returns", "batch-draws"},
    "UPDATE reservation_return_lines SET quantity = quantity + 1": {"line-returns", "line-draw-returns"},
    "DELETE FROM stock_movements WHERE kind = 'returned'": {"draw-returns", "batch-movements"},
}


@pytest.mark.proves("P4", "K7")
@pytest.mark.parametrize(("statement", "kinds"), DAMAGE.items(), ids=list(DAMAGE))
async def test_the_books_see_damage_to_what_came_back(
    catalog_database: TestDatabase, issuer: Issuer, statement: str, kinds: set[str]
) -> None:
    assert kinds <= set(BOOKS.checks)
    async with running_catalog(catalog_database, issuer) as catalog:
        await catalog.open()
        await give_back(catalog, returned(await held(catalog, consumed=True), 2))
        assert await catalog.breaks() == []
        with psycopg.connect(catalog_database.superuser_url) as conn:
            tables = ("reservation_lines", "reservation_draws", "reservation_return_lines", "stock_movements")
            kept = {table: conn.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
            conn.execute("SET session_replication_role = replica")
            conn.execute(statement.encode())
            conn.commit()
            found = await catalog.breaks()
            assert {item["kind"] for item in found} == kinds
            assert all(item["subject"] and item["detail"] for item in found)
            for table, rows in kept.items():
                conn.execute(f"DELETE FROM {table}".encode())
                conn.cursor().executemany(
                    f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({', '.join(['%s'] * len(rows[0]))})".encode(), rows
                )
            conn.commit()


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    "spoiled",
    [
        {"extra": 1},
        {"lines": []},
        {"lines": [{"number": 1, "quantity": 0}]},
        {"lines": [{"number": 1, "quantity": 1}] * 2},
        {"lines": [{"number": 11, "quantity": 1}]},
        {"gives_back": "everything"},
        {"reservation_id": "R-1"},
    ],
)
async def test_a_body_that_is_not_in_order_is_refused_whole(
    catalog: Catalog, catalog_database: TestDatabase, spoiled: dict[str, Any]
) -> None:
    await catalog.open()
    reservation = await held(catalog)
    body = {"actor": ACTOR, "items": [returned(reservation, 1), {**returned(reservation, 1), **spoiled}]}
    answer = await catalog.client.put("/internal/v1/reservations/returns", json=body, headers=catalog.issuer.service())
    assert answer.status_code == 422, answer.text
    assert counters(catalog_database)[0] == (5, 0)


@pytest.mark.proves("G40")
async def test_nobody_but_a_service_gives_back(catalog: Catalog) -> None:
    for headers in (catalog.issuer.customer(), catalog.issuer.staff("supervisor"), catalog.issuer.till()):
        answer = await catalog.client.put("/internal/v1/reservations/returns", json={}, headers=headers)
        assert answer.status_code == 403
