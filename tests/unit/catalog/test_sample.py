"""The committed sample workbook and the tables it is built from."""

from collections import Counter

from samples.build import WORKBOOK, sample_cells
from samples.goods import GOODS_BY_CATEGORY, Goods
from samples.rewards import BY_CATEGORY, Voucher
from services.catalog.campaigns.domain import CATEGORIES, RewardKind, Way
from services.catalog.workbooks.building import build_content
from services.catalog.workbooks.domain import parse_workbook
from services.catalog.workbooks.writing import write_workbook
from shared.languages import LANGUAGES


def test_the_committed_workbook_is_what_the_tables_say() -> None:
    assert parse_workbook(WORKBOOK.read_bytes()).cells == sample_cells()
    assert WORKBOOK.read_bytes() == write_workbook(sample_cells()), "run: python -m samples.build"


def test_it_holds_sixty_vouchers_in_eight_categories_at_twenty_five_merchants_and_twelve_goods_in_three() -> None:
    content = build_content(sample_cells())
    assert content.campaign.sample
    assert (len(content.rewards), len(content.offers), len(content.merchants)) == (72, 72, 25)
    assert set(BY_CATEGORY) == set(CATEGORIES)
    assert set(GOODS_BY_CATEGORY) < set(CATEGORIES)
    assert Counter(reward.kind for reward in content.rewards) == {RewardKind.E_VOUCHER: 60, RewardKind.GOODS: 12}
    assert {till.merchant for till in content.terminals} == {f"M{n:03}" for n in range(1, 26)}
    assert {offer.reward for offer in content.offers} == {reward.code for reward in content.rewards}
    assert {batch.reward for batch in content.batches} == {reward.code for reward in content.rewards}


def test_goods_go_by_courier_to_a_branch_or_either_way_and_some_are_limited() -> None:
    content = build_content(sample_cells())
    goods = {reward.code: reward for reward in content.rewards if reward.kind is RewardKind.GOODS}
    assert {reward.delivery for reward in goods.values()} == {
        (Way.COURIER,),
        (Way.PICKUP,),
        (Way.COURIER, Way.PICKUP),
    }
    limits = [offer.limits.per_customer for offer in content.offers if offer.reward in goods]
    assert None in limits
    assert 1 in limits
    assert all(reward.features and reward.model and reward.brand for reward in goods.values())


def test_every_merchant_takes_some_voucher() -> None:
    content = build_content(sample_cells())
    used = {merchant for reward in content.rewards if reward.voucher for merchant in reward.voucher.merchants}
    assert used == {merchant.code for merchant in content.merchants}


def test_texts_stand_in_three_languages_and_the_two_scripts_are_not_mixed() -> None:
    """Characters that are written differently in the two scripts give a mix-up away."""
    simplified, traditional = "务单饮车订换发机电气热馆汤优应选购资", "務單飲車訂換發機電氣熱館湯優應選購資"
    for reward in build_content(sample_cells()).rewards:
        assert set(reward.names) == set(LANGUAGES)
        for texts in (reward.names, reward.descriptions, reward.features or reward.names):
            assert not set(texts["zh_hans"]) & set(traditional), texts
            assert not set(texts["zh_hant"]) & set(simplified), texts
            assert texts["en"].isascii(), texts


def test_points_follow_the_value_closely_enough_to_be_one_campaign() -> None:
    rewards: list[Voucher | Goods] = [voucher for vouchers in BY_CATEGORY.values() for voucher in vouchers]
    rewards += [one for goods in GOODS_BY_CATEGORY.values() for one in goods]
    for reward in rewards:
        assert 88 <= reward.points / reward.yuan <= 100, reward.name
