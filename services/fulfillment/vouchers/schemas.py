"""Answers of the routes of vouchers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.fulfillment.views import MoneyView, RewardView, TextView
from services.fulfillment.vouchers.domain import STATE_WORDS
from services.fulfillment.vouchers.use_cases import Shown


class MerchantView(BaseModel):
    """A merchant that accepts the voucher; one that is not known any more has no names."""

    code: str
    names: TextView | None


class VoucherView(BaseModel):
    """A voucher without its code. `expires_at` is exclusive."""

    id: UUID
    fulfillment_id: UUID
    line: int
    unit: int
    state: str
    state_words: TextView
    reward: RewardView
    face_value: MoneyView
    terms: TextView
    merchants: list[MerchantView]
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, shown: Shown) -> "VoucherView":
        """The voucher as it is answered."""
        voucher, promise = shown.voucher, shown.voucher.promise
        return cls(
            id=voucher.id,
            fulfillment_id=voucher.fulfillment_id,
            line=voucher.line_number,
            unit=voucher.unit_number,
            state=voucher.state,
            state_words=TextView.of(STATE_WORDS[voucher.state]),
            reward=RewardView(code=promise.reward_code, names=TextView.of(promise.names)),
            face_value=MoneyView(amount_minor=promise.face_value_minor, currency=promise.currency),
            terms=TextView.of(promise.terms),
            merchants=[_merchant(code, shown) for code in promise.merchants],
            issued_at=voucher.issued_at,
            expires_at=voucher.expires_at,
            used_at=voucher.used_at,
        )


class WalletView(BaseModel):
    """Vouchers, newest first; `next` is the cursor of the following page, null at the end."""

    items: list[VoucherView]
    next: str | None


class CodeView(BaseModel):
    """A voucher's code in groups of four, and as a QR code that holds it without the hyphens."""

    code: str
    qr_svg: str


def _merchant(code: str, shown: Shown) -> MerchantView:
    names = shown.merchant_names.get(code)
    return MerchantView(code=code, names=None if names is None else TextView.of(names))
