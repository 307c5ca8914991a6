"""Words for states and timelines, such that an agent can read them out (R8)."""

from collections.abc import Mapping
from typing import Any

from shared.languages import Language, Text

STATES: Mapping[str, Text] = {
    "accepted": {"zh_hans": "处理中", "zh_hant": "處理中", "en": "Being processed"},
    "confirmed": {"zh_hans": "兑换成功，准备发放", "zh_hant": "兌換成功，準備發放", "en": "Redeemed, about to be handed out"},
    "fulfilled": {"zh_hans": "已发放", "zh_hant": "已發放", "en": "Handed out"},
    "declined": {"zh_hans": "未能兑换", "zh_hant": "未能兌換", "en": "Not redeemed"},
}

EVENTS: Mapping[str, Text] = {
    "accepted": {
        "zh_hans": "已收到兑换申请，预留{points}积分。",
        "zh_hant": "已收到兌換申請，預留{points}積分。",
        "en": "The request was received and {points} points were set aside.",
    },
    "confirmed": {
        "zh_hans": "兑换成功，扣除{points}积分。",
        "zh_hant": "兌換成功，扣除{points}積分。",
        "en": "The redemption is confirmed; {points} points were spent.",
    },
    "fulfilled": {
        "zh_hans": "电子券已放入卡包。",
        "zh_hant": "電子券已放入卡包。",
        "en": "The voucher is in the wallet.",
    },
    "declined": {
        "zh_hans": "未能兑换：{why}预留的{points}积分已退回。",
        "zh_hant": "未能兌換：{why}預留的{points}積分已退回。",
        "en": "It could not be redeemed: {why} The {points} points that were set aside are free again.",
    },
}

REASONS: Mapping[str, Text] = {
    "out-of-stock": {"zh_hans": "礼品已兑完。", "zh_hant": "禮品已兌完。", "en": "The last one has just gone."},
    "quota-exhausted": {"zh_hans": "名额已满。", "zh_hant": "名額已滿。", "en": "All places of this offer are taken."},
    "budget-exhausted": {"zh_hans": "活动预算已用完。", "zh_hant": "活動預算已用完。", "en": "The campaign's budget is spent."},
    "campaign-not-open": {"zh_hans": "活动目前未开放。", "zh_hant": "活動目前未開放。", "en": "The campaign is not open."},
    "offer-not-open": {
        "zh_hans": "该礼品目前不可兑换。",
        "zh_hant": "該禮品目前不可兌換。",
        "en": "This offer cannot be redeemed now.",
    },
    "offer-changed": {"zh_hans": "礼品内容或价格已更新。", "zh_hant": "禮品內容或價格已更新。", "en": "The offer has changed."},
    "catalog-unavailable": {
        "zh_hans": "系统繁忙，未能确认库存。",
        "zh_hant": "系統繁忙，未能確認庫存。",
        "en": "The stock could not be asked in time.",
    },
}


def state_in_words(state: str, language: Language) -> str:
    """What a state means."""
    return STATES[state][language]


def event_in_words(kind: str, facts: Mapping[str, Any], language: Language) -> str:
    """What happened, as a sentence."""
    why = " ".join(REASONS[code][language] for code in facts.get("reasons", ()) if code in REASONS)
    return EVENTS[kind][language].format(points=facts.get("points", ""), why=why).strip()
