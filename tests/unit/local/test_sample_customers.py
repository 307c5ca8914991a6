"""The sample customers and points: the committed files are those that their script makes, and the service takes them."""

import csv
from datetime import date, timedelta
from pathlib import Path

import phonenumbers
import pytest

from samples.customers import CUT_OVER_ON, FOLDER, sample_files
from services.redemption.feeds.domain import parse_customers, parse_points


@pytest.mark.parametrize("name", sample_files())
def test_the_committed_file_is_what_its_script_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == sample_files()[name]


def test_there_are_two_thousand_customers_that_the_feed_takes_without_an_error() -> None:
    lines = parse_customers((FOLDER / "customers.csv").read_bytes())
    assert [line.customer_number for line in lines] == [f"C{number:06}" for number in range(1, 2001)]
    assert len({line.contact.phone for line in lines}) == 2000
    assert {line.language for line in lines} == {"zh_hans", "zh_hant", "en"}


def test_nobody_is_reached_by_a_sample_telephone_number() -> None:
    for line in parse_customers((FOLDER / "customers.csv").read_bytes()):
        number = str(phonenumbers.parse(line.contact.phone).national_number)
        assert number.startswith(("2079460", "1134960")), line.contact.phone  # set aside for films and plays


def test_the_points_carry_their_control_line_and_some_expire_within_thirty_and_ninety_days() -> None:
    opening = parse_points("opening-balances", (FOLDER / "opening-balances.csv").read_bytes())
    earned = parse_points("earned-points", (FOLDER / "earned-points.csv").read_bytes())
    assert earned
    for days in (30, 90):
        assert any(line.expires_on <= CUT_OVER_ON + timedelta(days=days) for line in opening)
    lots: dict[str, int] = {}
    for line in opening:
        lots[line.customer_number] = lots.get(line.customer_number, 0) + 1
    assert max(lots.values()) == 6
    assert len(lots) == 1900  # the last hundred have none


def test_another_day_moves_every_lot_by_as_much(tmp_path: Path) -> None:
    later = sample_files(CUT_OVER_ON + timedelta(days=100))["opening-balances.csv"].splitlines()
    first = next(csv.reader(later[1:]))
    assert date.fromisoformat(first[2]) == CUT_OVER_ON + timedelta(days=120)
    assert later[-1] == sample_files()["opening-balances.csv"].splitlines()[-1]
