"""The demonstration's expected numbers are those of the sample tables, and a wrong one is named."""

import pytest

from deploy.local.demo import crowds, ending, redeeming
from deploy.local.demo.telling import Deviation, Teller
from samples.customers import EARNED, EARNED_DAYS, GROUPS
from samples.rewards import BY_CATEGORY, Voucher

VOUCHERS = {f"O{number:03}": voucher for number, voucher in enumerate((v for c in BY_CATEGORY.values() for v in c), start=1)}


def voucher(code: str) -> Voucher:
    return VOUCHERS[code]


def lots_of(subject: str) -> tuple[tuple[int, int], ...]:
    number = int(subject.removeprefix("customer-"))
    [group] = [group for group in GROUPS if group.first <= number <= group.last]
    return group.patterns[(number - group.first) % len(group.patterns)]


def test_prices_units_and_limits_are_those_of_the_sample_rewards() -> None:
    assert voucher(redeeming.COFFEE).points == redeeming.COFFEE_POINTS
    assert voucher(redeeming.COFFEE).per_day == 1
    assert (voucher(crowds.RACE).points, voucher(crowds.RACE).units) == (crowds.RACE_POINTS, crowds.RACE_UNITS)
    assert voucher(crowds.LOAD).points == crowds.LOAD_POINTS


def test_lots_are_those_of_the_sample_customers() -> None:
    [earned] = [points for first, last, _, points in EARNED if (first, last) == (1, 1)]
    assert (*((days, points) for points, days in lots_of(redeeming.WHO)), (EARNED_DAYS, earned)) == redeeming.LOTS
    assert sum(points for points, _ in lots_of(redeeming.POOR)) == redeeming.POOR_POINTS
    assert {sum(points for points, _ in lots_of(who)) for who in crowds.RACERS} == {crowds.RACER_POINTS}
    assert {sum(points for points, _ in lots_of(who)) for who in crowds.SHOPPERS} == {crowds.SHOPPER_POINTS}


def test_the_customers_lots_afterwards_are_less_by_the_price_with_the_oldest_expiry_first() -> None:
    left = redeeming.COFFEE_POINTS
    expected = []
    for days, points in redeeming.LOTS:
        taken = min(left, points)
        left -= taken
        expected.append((days, points - taken))
    assert tuple(expected) == redeeming.LOTS_AFTER


def test_the_sum_at_the_end_is_the_sum_of_the_chapters() -> None:
    assert (ending.UNITS, ending.REDEEMED) == (221, 2_792_800)


def test_a_wrong_number_is_named_with_what_was_expected() -> None:
    teller = Teller(lambda line: None)
    assert teller.expect("Points", 5, 5) == 5
    with pytest.raises(Deviation, match=r"^Points left: expected 30,900, found 31,000\.$"):
        teller.expect("Points left", 31_000, 30_900)
    assert teller.checked == 2
