"""Words for states and timelines, such that an agent can read them out (R8)."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.languages import Language, Text

STATES: Mapping[str, Text] = {
    "accepted": {"zh_hans": "处理中", "zh_hant": "處理中", "en": "Being processed"},
    "confirmed": {"zh_hans": "兑换成功，准备发放", "zh_hant": "兌換成功，準備發放", "en": "Redeemed, about to be handed out"},
    "fulfilled": {"zh_hans": "已发放", "zh_hant": "已發放", "en": "Handed out"},
    "declined": {"zh_hans": "未能兑换", "zh_hant": "未能兌換", "en": "Not redeemed"},
    "delivering": {"zh_hans": "配送中", "zh_hant": "配送中", "en": "Being delivered"},
    "cancelling": {"zh_hans": "正在取消", "zh_hant": "正在取消", "en": "Being cancelled"},
    "cancelled": {"zh_hans": "已取消", "zh_hant": "已取消", "en": "Cancelled"},
    "returned": {"zh_hans": "已退回", "zh_hant": "已退回", "en": "Returned"},
}

PARTS: Mapping[str, Text] = {
    "wallet_issued": {"zh_hans": "电子券已放入卡包。", "zh_hant": "電子券已放入卡包。", "en": "The voucher is in the wallet."},
    "wallet_cancelled": {"zh_hans": "电子券不再发放。", "zh_hant": "電子券不再發放。", "en": "The voucher will not be issued."},
    "courier_preparing": {"zh_hans": "包裹正在备货。", "zh_hant": "包裹正在備貨。", "en": "The parcel is being prepared."},
    "courier_dispatching": {
        "zh_hans": "包裹正在交给快递公司。",
        "zh_hant": "包裹正在交給快遞公司。",
        "en": "The parcel is being handed to the carrier.",
    },
    "courier_dispatched": {
        "zh_hans": "包裹已由{carrier}发出，运单号{tracking_number}。",
        "zh_hant": "包裹已由{carrier}寄出，運單號{tracking_number}。",
        "en": "The parcel left with {carrier}, tracking number {tracking_number}.",
    },
    "courier_delivered": {
        "zh_hans": "包裹已送达（{carrier}，运单号{tracking_number}）。",
        "zh_hant": "包裹已送達（{carrier}，運單號{tracking_number}）。",
        "en": "The parcel was delivered ({carrier}, tracking number {tracking_number}).",
    },
    "courier_failed": {
        "zh_hans": "派送未成功，{carrier}将再次派送（运单号{tracking_number}）。",
        "zh_hant": "派送未成功，{carrier}將再次派送（運單號{tracking_number}）。",
        "en": "A delivery failed; {carrier} will try again (tracking number {tracking_number}).",
    },
    "courier_returned": {
        "zh_hans": "包裹未能送达，{carrier}已退回（运单号{tracking_number}）。",
        "zh_hant": "包裹未能送達，{carrier}已退回（運單號{tracking_number}）。",
        "en": "The parcel could not be delivered and {carrier} brought it back (tracking number {tracking_number}).",
    },
    "courier_lost": {
        "zh_hans": "{carrier}告知包裹遗失（运单号{tracking_number}）。",
        "zh_hant": "{carrier}告知包裹遺失（運單號{tracking_number}）。",
        "en": "{carrier} tells us that the parcel was lost (tracking number {tracking_number}).",
    },
    "courier_cancelled": {"zh_hans": "包裹不再寄出。", "zh_hant": "包裹不再寄出。", "en": "The parcel will not be sent."},
    "pickup_preparing": {
        "zh_hans": "包裹正在备货，将送往{branch}。",
        "zh_hant": "包裹正在備貨，將送往{branch}。",
        "en": "The parcel is being prepared for {branch}.",
    },
    "pickup_in_transfer": {
        "zh_hans": "包裹正送往{branch}。",
        "zh_hant": "包裹正送往{branch}。",
        "en": "The parcel is on its way to {branch}.",
    },
    "pickup_ready": {
        "zh_hans": "包裹已到{branch}，请于{ready_until}前（含当日）领取。",
        "zh_hant": "包裹已到{branch}，請於{ready_until}前（含當日）領取。",
        "en": "The parcel is at {branch} and can be picked up until {ready_until}, that day included.",
    },
    "pickup_collected": {
        "zh_hans": "包裹已在{branch}领取。",
        "zh_hant": "包裹已在{branch}領取。",
        "en": "The parcel was picked up at {branch}.",
    },
    "pickup_returned": {
        "zh_hans": "包裹在{branch}逾期未领，最后一日为{ready_until}。",
        "zh_hant": "包裹在{branch}逾期未領，最後一日為{ready_until}。",
        "en": "The parcel was not picked up at {branch}; its last day was {ready_until}.",
    },
    "pickup_lost": {
        "zh_hans": "送往{branch}的包裹遗失。",
        "zh_hant": "送往{branch}的包裹遺失。",
        "en": "The parcel for {branch} was lost.",
    },
    "pickup_cancelled": {
        "zh_hans": "包裹不再送往{branch}。",
        "zh_hant": "包裹不再送往{branch}。",
        "en": "The parcel will not be sent to {branch}.",
    },
}
"""What happened to a part, by way and state."""

BECAUSE: Text = {"zh_hans": "原因：{reason}", "zh_hant": "原因：{reason}", "en": "The reason: {reason}"}
BY_STAFF: Text = {"zh_hans": "由我行工作人员办理。", "zh_hant": "由我行工作人員辦理。", "en": "By our staff."}
CARRIER: Text = {"zh_hans": "快递公司", "zh_hant": "快遞公司", "en": "the carrier"}
BRANCH: Text = {"zh_hans": "网点", "zh_hant": "網點", "en": "the branch"}
UNKNOWN: Text = {"zh_hans": "待定", "zh_hant": "待定", "en": "not known yet"}
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip

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
    "cancelling": {
        "zh_hans": "已申请取消。{because}",
        "zh_hant": "已申請取消。{because}",
        "en": "It was asked to be cancelled. {because}",
    },
    "cancelled": {
        "zh_hans": "兑换已取消，{points}积分已退回。{because}",
        "zh_hant": "兌換已取消，{points}積分已退回。{because}",
        "en": "The redemption is cancelled; its {points} points are back. {because}",
    },
    "stopped": {
        "zh_hans": "尚未发出的部分已取消，{points}积分已退回。",
        "zh_hant": "尚未發出的部分已取消，{points}積分已退回。",
        "en": "What had not left yet is cancelled; its {points} points are back.",
    },
    "too_late": {
        "zh_hans": "已发出，未能取消。",
        "zh_hant": "已發出，未能取消。",
        "en": "It had left already and could not be cancelled.",
    },
    "not_collected": {
        "zh_hans": "包裹未在期限内领取，{points}积分已退回。",
        "zh_hant": "包裹未在期限內領取，{points}積分已退回。",
        "en": "The parcel was not picked up in time; its {points} points are back.",
    },
    "came_back": {
        "zh_hans": "包裹已退回，{points}积分已退回。",
        "zh_hant": "包裹已退回，{points}積分已退回。",
        "en": "The parcel came back to us; its {points} points are back.",
    },
    "lost": {
        "zh_hans": "包裹遗失，{points}积分已退回。",
        "zh_hant": "包裹遺失，{points}積分已退回。",
        "en": "The parcel was lost; its {points} points are back.",
    },
    **PARTS,
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


def event_in_words(kind: str, facts: Mapping[str, Any], language: Language, *, by_staff: bool = False) -> str:
    """What happened, as a sentence; that it was `by_staff` is said in the place of a reason. Days are the bank's."""
    why = " ".join(REASONS[code][language] for code in facts.get("reasons", ()) if code in REASONS)
    reason = facts.get("reason")
    because = BY_STAFF[language] if by_staff else BECAUSE[language].format(reason=reason) if reason else ""
    said = {
        "points": facts.get("points", ""),
        "why": why,
        "because": because,
        "carrier": facts.get("carrier") or CARRIER[language],
        "tracking_number": facts.get("tracking_number") or UNKNOWN[language],
        "branch": (facts.get("branch_names") or {}).get(language) or facts.get("branch") or BRANCH[language],
        "ready_until": day_in_words(facts.get("ready_until"), language),
    }
    return EVENTS[kind][language].format(**said).strip()


def day_in_words(day: str | None, language: Language) -> str:
    """A day that is written YYYY-MM-DD, as it is read out."""
    if day is None:
        return UNKNOWN[language]
    found = date.fromisoformat(day)
    if language == "en":
        return f"{found.day} {MONTHS[found.month - 1]} {found.year}"
    return f"{found.year}年{found.month}月{found.day}日"
