"""Places come from outside: what looks like a link or a number to call is in no message to a customer (F7)."""

import pytest

from services.fulfillment.notices.domain import may_be_told


@pytest.mark.parametrize("place", ["深圳市营业点 深圳市 depot", "Depot 12, Hall 4", "1 Central Street", "Unit 1234", "南山区"])
def test_a_place_is_told(place: str) -> None:
    assert may_be_told(place)


@pytest.mark.proves("F7")
@pytest.mark.parametrize(
    "place",
    [
        "see https://bank.example/x",
        "ftp://x",
        "www.bank.example",
        "WWW.bank.example",
        "call 400123",
        "call 40012",
        "４００１２",
        "ｗｗｗ．bank.example",
        "http：//bank.example",
    ],
)
def test_a_link_or_a_number_is_not(place: str) -> None:
    assert not may_be_told(place)
