"""The demonstration's expected numbers are those of the sample tables, and a wrong one is named."""

import pytest

from deploy.local.demo import collecting, crowds, delivering, ending, loading, ordering, redeeming
from deploy.local.demo.telling import Deviation, Teller
from samples.branches import BRANCHES
from samples.customers import EARNED, EARNED_DAYS, GROUPS
from samples.goods import BOTH, COURIER, GOODS_BY_CATEGORY, Goods
from samples.rewards import BY_CATEGORY, Voucher

VOUCHERS = {f"O{number:03}": voucher for number, voucher in enumerate((v for c in BY_CATEGORY.values() for v in c), start=1)}


GOODS = {
    f"O{number:03}": one
    for number, one in enumerate((one for found in GOODS_BY_CATEGORY.values() for one in found), start=len(VOUCHERS) + 1)
}


def goods(code: str) -> Goods:
    return GOODS[code]


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


def test_prices_limits_and_ways_are_those_of_the_sample_goods() -> None:
    assert (goods(ordering.POWER_BANK).points, goods(ordering.POWER_BANK).delivery) == (ordering.POWER_BANK_POINTS, BOTH)
    assert (goods(ordering.KETTLE).points, goods(ordering.KETTLE).delivery) == (ordering.KETTLE_POINTS, BOTH)
    cooker = goods(ordering.COOKER)
    assert (cooker.points, cooker.delivery, cooker.per_customer) == (ordering.COOKER_POINTS, BOTH, 1)
    assert goods(ordering.EARPHONES).delivery == COURIER
    assert len(VOUCHERS) + len(GOODS) == loading.OFFERS


def test_the_branch_is_one_of_the_sample_branches_and_open() -> None:
    [branch] = [branch for branch in BRANCHES if branch.code == ordering.BRANCH]
    assert branch.open
    assert len(BRANCHES) == ordering.BRANCHES_MAX


def test_who_orders_goods_has_the_points_and_does_nothing_else_in_the_story() -> None:
    ordering_goods = [*ordering.BY_COURIER, ordering.COLLECTING, ordering.ABSENT]
    points = {who: sum(points for points, _ in lots_of(who)) for who in ordering_goods}
    earned = [int(who.removeprefix("customer-")) for who in ordering_goods]
    assert not [n for n in earned for first, last, step, _ in EARNED if first <= n <= last and (n - first) % step == 0]
    expected = dict.fromkeys(ordering_goods, ordering.POINTS) | {ordering.WAVERING: ordering.WAVERING_POINTS}
    assert points == expected
    assert lots_of(ordering.WAVERING) == ((ordering.WAVERING_POINTS, ordering.WAVERING_DAYS),)
    assert not set(ordering_goods) & {redeeming.WHO, redeeming.POOR, *crowds.RACERS, *crowds.SHOPPERS}


def test_customers_are_told_as_often_as_something_happens_that_they_are_told_of() -> None:
    delivered = len(ordering.BY_COURIER)
    assert {
        "parcel_dispatched": delivered,
        "delivery_failed": delivering.STORMY_ROAD.count("delivery_failed"),
        "parcel_delivered": delivered,
        "pickup_ready": 2,
        "pickup_expired": 1,
    } == collecting.NOTICES


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
    assert (ending.VOUCHERS, ending.FOR_VOUCHERS) == (221, 2_792_800)
    assert (ending.GOODS, ending.FOR_GOODS) == (5, 79_200)
    assert (ending.BACK, ending.GIVEN_BACK) == (2, 34_800)
    assert (ending.UNITS, ending.REDEEMED) == (226, 2_906_800)


def test_a_wrong_number_is_named_with_what_was_expected() -> None:
    teller = Teller(lambda line: None)
    assert teller.expect("Points", 5, 5) == 5
    with pytest.raises(Deviation, match=r"^Points left: expected 30,900, found 31,000\.$"):
        teller.expect("Points left", 31_000, 30_900)
    assert teller.checked == 2
