"""What a voucher is: its states and arrows, how long it is good, and how its state is said (F3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.clock import bank_day, day_starts_at
from shared.errors import DomainError
from shared.identity import Principal
from shared.languages import Text


class VoucherState(StrEnum):
    """Where a voucher stands."""

    ISSUED = "issued"
    USED = "used"
    EXPIRED = "expired"
    VOIDED = "voided"


ARROWS: frozenset[tuple[VoucherState, VoucherState]] = frozenset(
    {
        (VoucherState.ISSUED, VoucherState.USED),
        (VoucherState.USED, VoucherState.ISSUED),  # a use was reversed
        (VoucherState.ISSUED, VoucherState.EXPIRED),
        (VoucherState.ISSUED, VoucherState.VOIDED),
    }
)
"""Every change of state there is; the database refuses all others too."""

STATE_WORDS: Mapping[VoucherState, Text] = {
    VoucherState.ISSUED: {"zh_hans": "可使用", "zh_hant": "可使用", "en": "Ready to use"},
    VoucherState.USED: {"zh_hans": "已使用", "zh_hant": "已使用", "en": "Used"},
    VoucherState.EXPIRED: {"zh_hans": "已过期", "zh_hant": "已過期", "en": "Expired"},
    VoucherState.VOIDED: {"zh_hans": "已作废", "zh_hant": "已作廢", "en": "Cancelled"},
}


class VoucherNotShowable(DomainError):
    """The code is shown only while the voucher can be used."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose voucher it is, as access tokens name them: issuer and subject."""

    issuer: str
    subject: str


def owner_of(who: Principal) -> Owner | None:
    """Whose vouchers and parcels alone the caller may see: a customer's own; staff see anybody's."""
    return Owner(who.issuer, who.subject) if who.kind == "customer" else None


@dataclass(frozen=True, slots=True)
class Promise:
    """What all vouchers of one line have in common. Nothing changes it once it is issued."""

    reward_code: str
    names: Text
    terms: Text
    face_value_minor: int
    currency: str
    """ISO 4217; the face value is in its minor unit."""
    valid_days: int
    merchants: tuple[str, ...]
    """Codes of the merchants that accept it."""


@dataclass(frozen=True, slots=True)
class Voucher:
    """A voucher as its owner and staff see it; its code is not part of that."""

    id: UUID
    fulfillment_id: UUID
    line_number: int
    unit_number: int
    state: VoucherState
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None
    promise: Promise


def expires_at(issued_at: datetime, valid_days: int, timezone: ZoneInfo) -> datetime:
    """The first instant at which a voucher is no longer good.

    The day of issue is not counted, as civil law counts days: issued on the 1st for 30 days it is good through the 31st,
    23:59:59 in the bank's time zone.
    """
    return day_starts_at(bank_day(issued_at, timezone) + timedelta(days=valid_days + 1), timezone)


def state_at(state: VoucherState, expires: datetime, now: datetime) -> VoucherState:
    """The state that holds now: a voucher past its time is expired, whether or not anybody has written that down yet."""
    return VoucherState.EXPIRED if state is VoucherState.ISSUED and now >= expires else state


def require_showable(state: VoucherState) -> None:
    """Raises VoucherNotShowable unless the voucher can be used: a code that is worth nothing is not spread either."""
    if state is not VoucherState.ISSUED:
        raise VoucherNotShowable(state=state.value)
