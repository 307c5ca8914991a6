"""Bodies and answers of the routes for tills."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from services.fulfillment.tills.domain import Presented, Use, UseState
from services.fulfillment.views import MoneyView, RewardView, Strict, TextView
from services.fulfillment.vouchers.domain import STATE_WORDS, Promise, VoucherState

CODE_CHARACTERS_MAX = 64

TypedCode = Annotated[SecretStr, Field(min_length=1, max_length=CODE_CHARACTERS_MAX)]
"""A code as it was typed or scanned: case, spaces and hyphens do not matter."""


class VerificationBody(Strict):
    """Which voucher the till asks about."""

    code: TypedCode


class UseBody(Strict):
    """Which voucher is to be used; `till_reference` is the till's own word for the sale, such as a receipt number."""

    code: TypedCode
    till_reference: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class ReversalBody(Strict):
    """Why a use is taken back; one of a few words, so that nobody writes a code into it."""

    reason: Literal["no-answer", "customer", "mistake"] = "no-answer"


class VoucherAtTillView(BaseModel):
    """What a till may know of a voucher. `expires_at` is exclusive."""

    id: UUID
    reward: RewardView
    face_value: MoneyView
    expires_at: datetime

    @classmethod
    def of(cls, voucher_id: UUID, promise: Promise, expires_at: datetime) -> "VoucherAtTillView":
        """The voucher as it is answered."""
        return cls(
            id=voucher_id,
            reward=RewardView(code=promise.reward_code, names=TextView.of(promise.names)),
            face_value=MoneyView(amount_minor=promise.face_value_minor, currency=promise.currency),
            expires_at=expires_at,
        )


class VerificationView(BaseModel):
    """Whether a voucher can be used here now."""

    usable: bool
    state: str
    """issued, used or expired"""
    state_words: TextView
    voucher: VoucherAtTillView

    @classmethod
    def of(cls, voucher: Presented, state: VoucherState) -> "VerificationView":
        """The verification as it is answered."""
        return cls(
            usable=state is VoucherState.ISSUED,
            state=state,
            state_words=TextView.of(STATE_WORDS[state]),
            voucher=VoucherAtTillView.of(voucher.id, voucher.promise, voucher.expires_at),
        )


class UseView(BaseModel):
    """How a use stands. `voucher` is there when it succeeded, `refusal` when it was refused."""

    request_number: str
    merchant: str
    terminal: str
    till_reference: str | None
    state: str
    """used, refused or reversed"""
    refusal: str | None
    """unknown, used or expired"""
    used_at: datetime | None
    reversed_at: datetime | None
    voucher: VoucherAtTillView | None

    @classmethod
    def of(cls, use: Use) -> "UseView":
        """The use as it is answered: made of what never changes, so that a repeat gets the same bytes."""
        voucher = None
        if use.voucher_id is not None and use.promise is not None and use.expires_at is not None:
            voucher = VoucherAtTillView.of(use.voucher_id, use.promise, use.expires_at)
        return cls(
            request_number=use.request_number,
            merchant=use.till.merchant,
            terminal=use.till.terminal,
            till_reference=use.till_reference,
            state="used" if use.state is UseState.LIVE else use.state,
            refusal=use.refusal,
            used_at=use.used_at,
            reversed_at=use.reversed_at,
            voucher=voucher,
        )
