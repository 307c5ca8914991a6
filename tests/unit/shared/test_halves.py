"""Sets taken apart: one that spoils is alone in the end, and all others go through."""

from collections.abc import Sequence

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from shared.database import DatabaseUnavailable, Overloaded
from shared.halves import ask_by_halves, by_halves, spoils_a_commit
from shared.http_client import NotSent, Refused

pytestmark = pytest.mark.anyio


class Work:
    """Fails whenever a bad number is in the set."""

    def __init__(self, *bad: int, error: Exception | None = None) -> None:
        self.bad, self.error = set(bad), error or ValueError("bad")
        self.tried: list[list[int]] = []

    async def do(self, items: Sequence[int]) -> list[int]:
        self.tried.append(list(items))
        if self.bad & set(items):
            raise self.error
        return list(items)


@pytest.mark.parametrize("bad", [(), (0,), (7,), (3, 4), (0, 1, 2, 3, 4, 5, 6, 7)])
async def test_whoever_spoils_a_set_is_alone_in_the_end(bad: tuple[int, ...]) -> None:
    work = Work(*bad)
    halved = await by_halves(range(8), work.do, lambda error: isinstance(error, ValueError))
    assert [item for item, _ in halved.spoiled] == list(bad)
    assert [item for result in halved.results for item in result] == [n for n in range(8) if n not in bad]
    assert len(work.tried) < 2 * 8
    if not bad:
        assert work.tried == [list(range(8))], "nothing is taken apart that holds together"


async def test_what_is_nobody_s_fault_takes_nothing_apart_and_nothing_is_no_work() -> None:
    work = Work(3)
    with pytest.raises(ValueError, match="bad"):
        await by_halves(range(8), work.do, lambda error: isinstance(error, KeyError))
    assert len(work.tried) == 1
    assert (await by_halves([], work.do, lambda _: True)).results == []


async def test_what_a_neighbour_refuses_alone_is_left_out_and_is_an_error_in_the_log() -> None:
    refused = Work(2, error=Refused("catalog", 422, "validation-error"))

    async def ask(items: Sequence[int]) -> dict[int, str]:
        return dict.fromkeys(await refused.do(items), "yes")

    with capture_logs() as logs:
        assert await ask_by_halves(range(5), ask) == dict.fromkeys((0, 1, 3, 4), "yes")
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("refused_alone", "error")]
    refused.error = NotSent()
    with pytest.raises(NotSent):
        await ask_by_halves(range(5), ask)


def test_a_busy_or_absent_database_spoils_nothing() -> None:
    def by_driver(error: Exception) -> DBAPIError:
        return DBAPIError("UPDATE", None, error)

    passing = [psycopg.errors.DeadlockDetected(), psycopg.errors.QueryCanceled(), psycopg.errors.ReadOnlySqlTransaction()]
    assert not any(spoils_a_commit(by_driver(error)) for error in passing)
    assert not any(spoils_a_commit(error) for error in (Overloaded(), DatabaseUnavailable()))
    at_fault = [psycopg.errors.CheckViolation(), psycopg.errors.RaiseException()]
    assert all(spoils_a_commit(by_driver(error)) for error in at_fault)
    assert all(spoils_a_commit(error) for error in (KeyError(1), ValueError(), AssertionError()))
