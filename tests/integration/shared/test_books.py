"""Books are read range by range: every key once, whatever the ranges, and none larger than its time allows."""

import uuid

import pytest
from sqlalchemy import make_url

from shared.books import Books, Check, Walk
from shared.database import Database
from shared.problems import InvalidInput
from tests.support.mechanisms import Mechanisms

pytestmark = pytest.mark.anyio

ITEMS = Walk("ledger", "item", first=3, most=50)
NAMES = Walk("tasks", "kind", first=2, most=4, of_text=True)
MARKED = "SELECT item::text, name FROM ledger WHERE item BETWEEN :low AND :high AND name IS NOT NULL"


@pytest.fixture
async def numbered(mechanisms: Mechanisms) -> Mechanisms:
    """A thousand items, of which the first, some in the middle and the last are marked."""
    mechanisms.as_owner(
        "INSERT INTO ledger (item, name) SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), "
        "CASE WHEN n IN (1, 2, 3, 4, 500, 501, 1000) THEN 'marked ' || n END FROM generate_series(1, 1000) n"
    )
    return mechanisms


async def read_all(books: Books, database: Database, *, seconds: float) -> tuple[list[str], int]:
    """What all pages say, and how many those are."""
    found, pages, cursor = [], 0, None
    while True:
        page = await books.find_page(database, cursor, seconds=seconds)
        found += [b.detail for b in page.breaks]
        pages += 1
        if page.following is None:
            return found, pages
        cursor = page.following


MARKS = [f"marked {n}" for n in (1, 2, 3, 4, 500, 501, 1000)]


@pytest.mark.proves("G8")
async def test_every_key_is_looked_at_once_however_the_ranges_fall(numbered: Mechanisms) -> None:
    books = Books({"marked": Check(ITEMS, MARKED)})
    one_by_one, pages = await read_all(books, numbered.database, seconds=0.0)
    at_once, page = await read_all(books, numbered.database, seconds=60.0)
    assert one_by_one == at_once == MARKS
    assert (pages > 100, page) == (True, 1)
    assert [b.detail for b in await books.find_breaks(numbered.database)] == MARKS


async def test_rows_beyond_the_keys_that_are_walked_along_are_seen(numbered: Mechanisms) -> None:
    """A counterpart without the row that it belongs to: the ranges cover every UUID."""
    books = Books({"stray": Check(Walk("tasks"), MARKED)})
    assert [b.detail for b in await books.find_breaks(numbered.database)] == sorted(MARKS, key=lambda mark: int(mark[7:]))
    numbered.as_owner(
        "INSERT INTO ledger (item, name) VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'the last there can be')"
    )
    books = Books({"marked": Check(ITEMS, MARKED)})
    assert (await read_all(books, numbered.database, seconds=0.0))[0] == [*MARKS, "the last there can be"]


async def test_keys_of_text_are_walked_along_too_and_walks_follow_each_other(numbered: Mechanisms) -> None:
    numbered.as_owner(
        "INSERT INTO tasks (id, kind, run_at) SELECT gen_random_uuid(), 'k' || n / 2, now() FROM generate_series(2, 14) n"
    )
    seen = "SELECT kind, count(*)::text FROM tasks WHERE kind BETWEEN :low AND :high GROUP BY kind"
    books = Books({"counted": Check(NAMES, seen), "marked": Check(ITEMS, MARKED)})
    found = await books.find_breaks(numbered.database)
    assert [(b.subject, b.detail) for b in found if b.kind == "counted"] == [(f"k{n}", "2") for n in range(1, 7)] + [
        ("k7", "1")
    ]
    assert [b.detail for b in found if b.kind == "marked"] == MARKS


@pytest.mark.proves("G8")
async def test_a_range_that_takes_too_long_is_read_in_smaller_ones(numbered: Mechanisms) -> None:
    """Above ten keys this check runs into the time limit of statements."""
    slow = (
        f"SELECT * FROM ({MARKED}) m UNION ALL SELECT 'never', pg_sleep(5)::text FROM "
        "(SELECT count(*) AS n FROM ledger WHERE item BETWEEN :low AND :high) c WHERE c.n > 10"
    )
    books = Books({"marked": Check(Walk("ledger", "item", first=500, most=500), slow)})
    url = make_url(numbered.place.owner_url).update_query_dict({"options": "-c statement_timeout=100"})
    database = Database(url.render_as_string(hide_password=False))
    try:
        found = await books.find_page(database, None, seconds=0.0)
        assert found.following is not None
        assert int(found.following.rpartition("-")[2], 16) <= 10
        assert [b.detail for b in found.breaks] == MARKS[:4]
    finally:
        await database.dispose()


@pytest.mark.parametrize("cursor", ["", "nothing:", "ledger:x", "accounts:" + str(uuid.UUID(int=1)), "ledger"])
async def test_a_cursor_that_is_none_of_ours_is_refused(numbered: Mechanisms, cursor: str) -> None:
    books = Books({"marked": Check(ITEMS, MARKED)})
    if cursor in ("", "ledger"):
        assert (await books.find_page(numbered.database, cursor)).breaks
        return
    with pytest.raises(InvalidInput):
        await books.find_page(numbered.database, cursor)
