"""Which problem a caller meets for each error of this service's domain."""

from services.redemption.addresses.domain import AddressBookFull
from services.redemption.customers.domain import UnknownCustomer
from services.redemption.deliveries.domain import (
    AddressUnknown,
    BranchUnknown,
    DeliveryNotNeeded,
    DeliveryNotOffered,
    DeliveryRequired,
)
from services.redemption.feeds.domain import FeedChanged, FeedRejected
from services.redemption.points.domain import (
    AccountClosed,
    AccountMayNotEarn,
    AccountMayNotRedeem,
    InsufficientPoints,
    RefundExceedsSpent,
)
from services.redemption.redemptions.domain import (
    BudgetExhausted,
    CampaignNotOpen,
    CatalogUnavailable,
    InvalidTransition,
    LimitReached,
    OfferChanged,
    OfferNotOpen,
    OfferUnknown,
    OutOfStock,
    QuotaExhausted,
    TooLateToCancel,
)
from shared.languages import Text
from shared.problems import Catalogue, problem

WHERE = ("line", "redemption_id")

FIELD_SENTENCES: dict[str, Text] = {
    "not-a-number": {"zh_hans": "须为正整数。", "zh_hant": "須為正整數。", "en": "This must be a whole number above zero."},
    "not-a-date": {
        "zh_hans": "须为 YYYY-MM-DD 格式的日期。",
        "zh_hant": "須為 YYYY-MM-DD 格式的日期。",
        "en": "This must be a date written YYYY-MM-DD.",
    },
    "not-a-phone": {
        "zh_hans": "不是有效的电话号码。",
        "zh_hant": "不是有效的電話號碼。",
        "en": "This is not a telephone number.",
    },
    "exactly-one": {
        "zh_hans": "须且只须填写其中一项：{fields}。",
        "zh_hant": "須且只須填寫其中一項：{fields}。",
        "en": "Give exactly one of: {fields}.",
    },
    "unknown-customer": {
        "zh_hans": "没有这个客户号。",
        "zh_hant": "沒有這個客戶號。",
        "en": "There is no customer with this number.",
    },
    "repeated": {"zh_hans": "与第 {first} 行重复。", "zh_hant": "與第 {first} 行重複。", "en": "This repeats line {first}."},
    "conflicts": {
        "zh_hans": "与已入账的记录不一致。",
        "zh_hant": "與已入帳的記錄不一致。",
        "en": "This differs from what was taken in before.",
    },
    "identity-fixed": {
        "zh_hans": "客户的登录身份一经登记不能更改。",
        "zh_hant": "客戶的登入身分一經登記不能更改。",
        "en": "The sign-in of a customer, once known, cannot be changed.",
    },
    "identity-taken": {
        "zh_hans": "该登录身份已属于另一客户。",
        "zh_hant": "該登入身分已屬於另一客戶。",
        "en": "This sign-in belongs to another customer.",
    },
    "may-not-earn": {
        "zh_hans": "该账户目前不能入积分。",
        "zh_hant": "該帳戶目前不能入積分。",
        "en": "This account may not earn at present.",
    },
    "wrong-columns": {
        "zh_hans": "列数不对，应为 {expected} 列。",
        "zh_hant": "欄數不對，應為 {expected} 欄。",
        "en": "A line has {expected} columns.",
    },
    "wrong-header": {
        "zh_hans": "表头应为：{expected}",
        "zh_hant": "表頭應為：{expected}",
        "en": "The first line must be: {expected}",
    },
    "wrong-total": {
        "zh_hans": "合计不符：文件写 {written}，实为 {counted}。",
        "zh_hant": "合計不符：檔案寫 {written}，實為 {counted}。",
        "en": "The control total does not fit: the file says {written}, its lines make {counted}.",
    },
    "not-text": {
        "zh_hans": "文件须为 UTF-8 或 GB18030 文本。",
        "zh_hant": "檔案須為 UTF-8 或 GB18030 文字。",
        "en": "The file must be text in UTF-8 or GB18030.",
    },
    "too-many-lines": {
        "zh_hans": "文件最多 {most} 行。",
        "zh_hant": "檔案最多 {most} 行。",
        "en": "A file has at most {most} lines.",
    },
}

CATALOGUE = Catalogue(
    own={
        UnknownCustomer: problem("unknown-customer", 403, "该登录身份尚未开通积分账户。", "該登入身分尚未開通積分帳戶。", "This sign-in belongs to no customer of ours."),
        InsufficientPoints: problem("insufficient-points", 409, "积分不足：需要 {required}，可用 {available}，还差 {missing}。", "積分不足：需要 {required}，可用 {available}，還差 {missing}。", "Not enough points: {required} needed, {available} available, {missing} missing.", shows=("required", "available", "missing")),
        AccountMayNotRedeem: problem("account-may-not-redeem", 409, "您的积分账户目前不能兑换，请联系客服。", "您的積分帳戶目前不能兌換，請聯絡客服。", "Your account may not redeem at present; please call us.", shows=("state",)),
        AccountMayNotEarn: problem("account-may-not-earn", 409, "该账户目前不能入积分。", "該帳戶目前不能入積分。", "The account may not earn at present.", shows=("state",)),
        AccountClosed: problem("account-closed", 409, "账户已销户，不能再变更。", "帳戶已銷戶，不能再變更。", "A closed account stays closed."),
        RefundExceedsSpent: problem("refund-exceeds-spent", 409, "退回的积分超过所扣积分。", "退回的積分超過所扣積分。", "More points would be given back than were spent.", shows=("points", "left")),
        OfferUnknown: problem("offer-unknown", 404, "活动中没有这个礼品。", "活動中沒有這個禮品。", "There is no such offer in this campaign.", shows=("line",)),
        OfferChanged: problem("offer-changed", 409, "礼品内容或价格已更新，请确认后再兑换。", "禮品內容或價格已更新，請確認後再兌換。", "The offer has changed since you saw it; look again before you redeem.", shows=(*WHERE, "offer_version", "price_points")),
        LimitReached: problem("limit-reached", 409, "每人限兑 {limit} 份，您还可兑 {left} 份。", "每人限兌 {limit} 份，您還可兌 {left} 份。", "One customer may take {limit}; {left} are left for you.", shows=("line", "limit", "left")),
        OutOfStock: problem("out-of-stock", 409, "礼品已兑完，您的积分未扣除。", "禮品已兌完，您的積分未扣除。", "The last one has just gone; your points are untouched.", shows=WHERE),
        QuotaExhausted: problem("quota-exhausted", 409, "名额已满，您的积分未扣除。", "名額已滿，您的積分未扣除。", "All places are taken; your points are untouched.", shows=WHERE),
        BudgetExhausted: problem("budget-exhausted", 409, "活动预算已用完，您的积分未扣除。", "活動預算已用完，您的積分未扣除。", "The campaign's budget is spent; your points are untouched.", shows=WHERE),
        CampaignNotOpen: problem("campaign-not-open", 409, "活动目前未开放，您的积分未扣除。", "活動目前未開放，您的積分未扣除。", "The campaign is not open; your points are untouched.", shows=WHERE),
        OfferNotOpen: problem("offer-not-open", 409, "该礼品目前不可兑换，您的积分未扣除。", "該禮品目前不可兌換，您的積分未扣除。", "This offer cannot be redeemed now; your points are untouched.", shows=WHERE),
        CatalogUnavailable: problem("catalog-unavailable", 409, "系统繁忙，未能确认库存，您的积分未扣除，请稍后再试。", "系統繁忙，未能確認庫存，您的積分未扣除，請稍後再試。", "The stock could not be asked in time; your points are untouched. Try again later.", recoverable=True, shows=WHERE),
        DeliveryRequired: problem("delivery-required", 422, "请选择礼品的领取方式。", "請選擇禮品的領取方式。", "Say how the goods shall reach you.", shows=("line",)),
        DeliveryNotNeeded: problem("delivery-not-needed", 422, "电子券直接放入卡包，无需领取方式。", "電子券直接放入卡包，無需領取方式。", "E-vouchers go to the wallet; there is nothing to deliver."),
        DeliveryNotOffered: problem("delivery-not-offered", 422, "该礼品不支持此领取方式。", "該禮品不支援此領取方式。", "This reward is not delivered in that way.", shows=("line", "ways")),
        AddressUnknown: problem("address-unknown", 422, "地址簿中没有这个地址。", "地址簿中沒有這個地址。", "There is no such address in your address book."),
        BranchUnknown: problem("branch-unknown", 422, "没有这个网点，或该网点暂停服务。", "沒有這個網點，或該網點暫停服務。", "There is no such branch, or it is closed."),
        AddressBookFull: problem("address-book-full", 409, "地址簿已满，最多 {most} 个地址。", "地址簿已滿，最多 {most} 個地址。", "Your address book is full: it has at most {most} addresses.", shows=("most",)),
        TooLateToCancel: problem("too-late-to-cancel", 409, "已无法取消：礼品已发出或兑换已结束。", "已無法取消：禮品已寄出或兌換已結束。", "It is too late to cancel: it has left already, or has come to its end.", shows=("state", "redemption_id")),
        InvalidTransition: problem("invalid-transition", 409, "当前状态不能执行此操作。", "目前狀態不能執行此操作。", "This cannot happen in the present state.", shows=("state",)),
        FeedRejected: problem("feed-rejected", 422, "文件有误，未导入任何内容；请按行修正。", "檔案有誤，未匯入任何內容；請按行修正。", "The file has errors and nothing of it was taken in; the errors name the lines."),
        FeedChanged: problem("feed-changed", 422, "同名文件已导入，但内容不同。", "同名檔案已匯入，但內容不同。", "A file of this name was taken in before, with other content."),
    },
    field_sentences=FIELD_SENTENCES,
)  # fmt: skip
