"""The committed sample workbook and the tables it is built from."""

from samples.build import WORKBOOK, sample_cells
from samples.rewards import BY_CATEGORY
from services.catalog.campaigns.domain import CATEGORIES, RewardKind
from services.catalog.workbooks.building import build_content
from services.catalog.workbooks.domain import parse_workbook
from services.catalog.workbooks.writing import write_workbook
from shared.languages import LANGUAGES


def test_the_committed_workbook_is_what_the_tables_say() -> None:
    assert parse_workbook(WORKBOOK.read_bytes()).cells == sample_cells()
    assert WORKBOOK.read_bytes() == write_workbook(sample_cells()), "run: python -m samples.build"


def test_it_holds_sixty_vouchers_in_eight_categories_at_twenty_five_merchants() -> None:
    content = build_content(sample_cells())
    assert content.campaign.sample
    assert (len(content.rewards), len(content.offers), len(content.merchants)) == (60, 60, 25)
    assert set(BY_CATEGORY) == set(CATEGORIES)
    assert {reward.kind for reward in content.rewards} == {RewardKind.E_VOUCHER}
    assert {till.merchant for till in content.terminals} == {f"M{n:03}" for n in range(1, 26)}
    assert {offer.reward for offer in content.offers} == {reward.code for reward in content.rewards}
    assert {batch.reward for batch in content.batches} == {reward.code for reward in content.rewards}


def test_every_merchant_takes_some_voucher() -> None:
    content = build_content(sample_cells())
    used = {merchant for reward in content.rewards if reward.voucher for merchant in reward.voucher.merchants}
    assert used == {merchant.code for merchant in content.merchants}


def test_texts_stand_in_three_languages_and_the_two_scripts_are_not_mixed() -> None:
    """Characters that are written differently in the two scripts give a mix-up away."""
    simplified, traditional = "务单饮车订换发机电气热馆汤优应选购资", "務單飲車訂換發機電氣熱館湯優應選購資"
    for reward in build_content(sample_cells()).rewards:
        assert set(reward.names) == set(LANGUAGES)
        for texts in (reward.names, reward.descriptions):
            assert not set(texts["zh_hans"]) & set(traditional), texts
            assert not set(texts["zh_hant"]) & set(simplified), texts
            assert texts["en"].isascii(), texts


def test_points_follow_the_value_closely_enough_to_be_one_campaign() -> None:
    for vouchers in BY_CATEGORY.values():
        for voucher in vouchers:
            assert 88 <= voucher.points / voucher.yuan <= 100, voucher.name
