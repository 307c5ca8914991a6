"""Which problem type each of fulfillment's errors is answered with."""

from services.fulfillment.merchants.domain import TillNotAdmitted
from services.fulfillment.parcels.domain import (
    ArrivalNotExpected,
    ParcelNotOurs,
    ParcelNotReady,
    PickupCodeNotShowable,
    PickupCodeWrong,
    TooManyAttempts,
)
from services.fulfillment.tills.domain import (
    RequestNumberReused,
    ReversalTooLate,
    UseNotFound,
    UseReversed,
    VoucherAlreadyUsed,
    VoucherExpired,
    VoucherNotFound,
)
from services.fulfillment.vouchers.domain import VoucherNotShowable
from shared.problems import Catalogue, problem
from shared.webhooks import SignatureInvalid

CATALOGUE = Catalogue(
    own={
        VoucherNotFound: problem(
            "voucher-not-found", 404, "找不到此券，或此券不适用于本商户。", "找不到此券，或此券不適用於本商戶。",
            "There is no such voucher for this merchant.",
        ),
        VoucherAlreadyUsed: problem(
            "voucher-already-used", 409, "此券已被使用。", "此券已被使用。", "The voucher has been used.",
            shows=("used_at", "terminal", "request_number"),
        ),
        VoucherExpired: problem(
            "voucher-expired", 409, "此券已过期。", "此券已過期。", "The voucher's time is over.", shows=("expires_at",)
        ),
        VoucherNotShowable: problem(
            "voucher-not-showable", 409, "此券目前不可使用，不再显示券码。", "此券目前不可使用，不再顯示券碼。",
            "The code is shown only while the voucher can be used.", shows=("state",),
        ),
        RequestNumberReused: problem(
            "request-number-reused", 422, "该请求编号已用于另一请求。", "該請求編號已用於另一請求。",
            "This terminal has sent another request under this number.",
        ),
        UseReversed: problem(
            "use-reversed", 409, "该次使用已被撤销，不会再生效。", "該次使用已被撤銷，不會再生效。",
            "The use under this number has been reversed, and cannot happen any more.", shows=("reversed_at",),
        ),
        UseNotFound: problem(
            "use-not-found", 404, "本终端没有此编号的使用请求。", "本終端沒有此編號的使用請求。",
            "This terminal has sent no use under this number.",
        ),
        ReversalTooLate: problem(
            "reversal-too-late", 409, "已超过 {minutes} 分钟的撤销时限。", "已超過 {minutes} 分鐘的撤銷時限。",
            "A use can be reversed for {minutes} minutes; they are over.", shows=("used_at", "minutes"),
        ),
        ArrivalNotExpected: problem(
            "arrival-not-expected", 409, "此包裹并未在送往本网点的途中。", "此包裹並未在送往本分行的途中。",
            "The parcel is not on its way to this branch.", shows=("state",),
        ),
        ParcelNotReady: problem(
            "parcel-not-ready", 409, "此包裹目前不可在本网点领取。", "此包裹目前不可在本分行領取。",
            "The parcel does not lie ready at this branch.", shows=("state",),
        ),
        ParcelNotOurs: problem(
            "parcel-not-ours", 409, "此包裹既不在送往网点的途中，也不在网点。", "此包裹既不在送往分行的途中，也不在分行。",
            "The parcel is neither on its way to a branch nor does it lie there.", shows=("state",),
        ),
        PickupCodeWrong: problem(
            "pickup-code-wrong", 409, "取件码不正确，请核对后重试。", "取件碼不正確，請核對後重試。",
            "The pickup code is not this parcel's.", recoverable=True,
        ),
        TooManyAttempts: problem(
            "too-many-attempts", 429, "取件码输错次数过多，请稍后再试。", "取件碼輸錯次數過多，請稍後再試。",
            "Too many wrong codes were tried; wait a while.", recoverable=True, shows=("retry_after_seconds",),
        ),
        PickupCodeNotShowable: problem(
            "pickup-code-not-showable", 409, "包裹到达网点后才显示取件码。", "包裹到達分行後才顯示取件碼。",
            "The pickup code is shown only while the parcel lies ready at the branch.", shows=("state",),
        ),
        TillNotAdmitted: problem(
            "till-not-admitted", 403, "本终端或其商户目前不能受理券。", "本終端或其商戶目前不能受理券。",
            "This terminal, or its merchant, is not admitted to vouchers today.",
        ),
        SignatureInvalid: problem(
            "signature-invalid", 401, "签名不正确或已过期。", "簽章不正確或已過期。",
            "The signature does not fit what was sent, or is too old.",
        ),
    },
)  # fmt: skip
