"""Words for the lines of a statement."""

from collections.abc import Mapping

from shared.languages import Language, Text

POSTINGS: Mapping[str, Text] = {
    "opening": {"zh_hans": "期初积分", "zh_hant": "期初積分", "en": "Opening balance"},
    "earned": {"zh_hans": "获得积分", "zh_hant": "獲得積分", "en": "Points earned"},
    "redeemed": {"zh_hans": "兑换礼品", "zh_hant": "兌換禮品", "en": "Redeemed for a reward"},
    "refunded": {"zh_hans": "兑换积分退回", "zh_hant": "兌換積分退回", "en": "Points of a redemption given back"},
    "expired": {"zh_hans": "积分到期", "zh_hant": "積分到期", "en": "Points expired"},
    "grace": {"zh_hans": "到期积分宽限", "zh_hant": "到期積分寬限", "en": "Expired points given back for a while"},
}


def posting_in_words(kind: str, language: Language) -> str:
    """What a posting was for."""
    return POSTINGS[kind][language]
