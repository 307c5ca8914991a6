"""Arrays are written as PostgreSQL reads them, and what none of ours holds is refused."""

from datetime import UTC, date, datetime
from enum import StrEnum
from uuid import UUID

import pytest
from psycopg.errors import DataError

from shared.arrays import array_of

ID = UUID("018f2f5e-0000-7000-8000-000000000001")


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "{}"),
        ([None, None], "{NULL,NULL}"),
        ([ID, None], "{018f2f5e000070008000000000000001,NULL}"),
        ([1, -2], "{1,-2}"),
        ([True, False], "{True,False}"),
        ([0.5], "{0.5}"),
        (["a", "", "NULL", '"\\,{}'], '{"a","","NULL","\\"\\\\,{}"}'),
        ([b"\x00ab"], '{"\\\\x006162"}'),
        ([date(2026, 11, 23)], "{2026-11-23}"),
        ([datetime(2026, 11, 23, 8, tzinfo=UTC)] * 2, "{2026-11-23T08:00:00+00:00,2026-11-23T08:00:00+00:00}"),
        ([datetime(2026, 11, 23, 8, tzinfo=UTC), None], "{2026-11-23T08:00:00+00:00,NULL}"),
        ([Colour.RED], '{"red"}'),
    ],
)
def test_a_list_becomes_the_text_of_an_array(values: list, text: str) -> None:
    assert array_of(values) == text


@pytest.mark.parametrize("values", [["a", 1], [object()], ["a\x00b"], [["a"]]])
def test_what_no_array_of_ours_holds_is_an_error_of_the_data(values: list) -> None:
    with pytest.raises(DataError):
        array_of(values)
