"""Uses of vouchers: what a till may do, and how each request ends.

A request number is one attempt of one terminal, and its outcome is final: a repeat gets the same answer, a refusal too. A
refusal that was lost and came true later would take a voucher that the cashier had handed back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.fulfillment.merchants.domain import Till
from services.fulfillment.vouchers.domain import Promise, VoucherState, state_at
from shared.audit import Actor
from shared.errors import DomainError

UseKey = tuple[str, str, str]
"""Merchant, terminal, request number: what makes a use the same use."""


class UseState(StrEnum):
    """Where a use stands."""

    ASKED = "asked"
    """Its number is taken and it is being decided; never seen outside of the transaction that decides it."""
    LIVE = "live"
    REFUSED = "refused"
    REVERSED = "reversed"


ARROWS: frozenset[tuple[UseState, UseState]] = frozenset(
    {
        (UseState.ASKED, UseState.LIVE),
        (UseState.ASKED, UseState.REFUSED),
        (UseState.LIVE, UseState.REVERSED),
        (UseState.REFUSED, UseState.REVERSED),
    }
)
"""Every change of state there is; the database refuses all others too."""


class Refusal(StrEnum):
    """Why a use was refused."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"


class VoucherNotFound(DomainError):
    """There is no such voucher for this merchant."""


class VoucherAlreadyUsed(DomainError):
    """The voucher has been used."""


class VoucherExpired(DomainError):
    """The voucher's time is over."""


class RequestNumberReused(DomainError):
    """This terminal has sent another request under this number."""


class UseReversed(DomainError):
    """The use under this number has been reversed, and cannot happen any more."""


class UseNotFound(DomainError):
    """This terminal has sent no use under this number."""


class ReversalTooLate(DomainError):
    """The time in which a till may reverse this use is over."""


REFUSALS: Mapping[Refusal, type[DomainError]] = {
    Refusal.UNKNOWN: VoucherNotFound,
    Refusal.USED: VoucherAlreadyUsed,
    Refusal.EXPIRED: VoucherExpired,
}


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a voucher, a refused one, or the tombstone of one that was reversed before it came."""

    id: UUID
    till: Till
    request_number: str
    state: UseState
    fingerprint: bytes | None
    """HMAC of what was asked; None in a tombstone."""
    till_reference: str | None
    voucher_id: UUID | None
    promise: Promise | None
    expires_at: datetime | None
    """Of the voucher; like its promise only known of a use that succeeded."""
    used_at: datetime | None
    reversed_at: datetime | None
    refusal: Refusal | None
    refusal_facts: Mapping[str, Any] | None

    @property
    def key(self) -> UseKey:
        """What makes it the same use."""
        return (self.till.merchant, self.till.terminal, self.request_number)

    def error(self) -> DomainError | None:
        """The refusal as an error, or None."""
        return None if self.refusal is None else REFUSALS[self.refusal](**(self.refusal_facts or {}))


@dataclass(frozen=True, slots=True)
class Presented:
    """A voucher whose code was shown to a till."""

    id: UUID
    state: VoucherState
    expires_at: datetime
    used_at: datetime | None
    promise: Promise

    def refusal_for(self, merchant: str, now: datetime) -> Refusal | None:
        """Why this merchant may not use it now, or None. What another merchant's voucher is, nobody is told."""
        if merchant not in self.promise.merchants or self.state is VoucherState.VOIDED:
            return Refusal.UNKNOWN
        if self.state is VoucherState.USED:
            return Refusal.USED
        return Refusal.EXPIRED if state_at(self.state, self.expires_at, now) is VoucherState.EXPIRED else None


@dataclass(frozen=True, slots=True)
class UseRequest:
    """A till asks to use a voucher; the code is here as its HMAC alone."""

    id: UUID
    till: Till
    request_number: str
    code_hmac: bytes
    fingerprint: bytes
    till_reference: str | None
    actor: Actor

    @property
    def key(self) -> UseKey:
        """What makes it the same request."""
        return (self.till.merchant, self.till.terminal, self.request_number)


@dataclass(frozen=True, slots=True)
class ReversalRequest:
    """A till takes back a use, or one whose answer it never saw."""

    id: UUID
    till: Till
    request_number: str
    actor: Actor

    @property
    def key(self) -> UseKey:
        """What makes it the same use."""
        return (self.till.merchant, self.till.terminal, self.request_number)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `replayed`: it had ended so before."""

    use: Use
    replayed: bool


def replayed_use(request: UseRequest, use: Use) -> Outcome | DomainError:
    """The answer to a request whose number is known."""
    if use.fingerprint is not None and use.fingerprint != request.fingerprint:
        return RequestNumberReused()
    if use.state is UseState.REVERSED:
        return UseReversed(reversed_at=use.reversed_at.isoformat() if use.reversed_at else None)
    return Outcome(use, replayed=True)


def used(request: UseRequest, voucher: Presented, now: datetime) -> Use:
    """A use that succeeds."""
    return Use(
        id=request.id,
        till=request.till,
        request_number=request.request_number,
        state=UseState.LIVE,
        fingerprint=request.fingerprint,
        till_reference=request.till_reference,
        voucher_id=voucher.id,
        promise=voucher.promise,
        expires_at=voucher.expires_at,
        used_at=now,
        reversed_at=None,
        refusal=None,
        refusal_facts=None,
    )


def refused(request: UseRequest, refusal: Refusal, facts: Mapping[str, Any] | None = None) -> Use:
    """A use that is refused, with the facts that its answer shows."""
    return Use(
        id=request.id,
        till=request.till,
        request_number=request.request_number,
        state=UseState.REFUSED,
        fingerprint=request.fingerprint,
        till_reference=request.till_reference,
        voucher_id=None,
        promise=None,
        expires_at=None,
        used_at=None,
        reversed_at=None,
        refusal=refusal,
        refusal_facts=facts,
    )


def tombstone(request: ReversalRequest, now: datetime) -> Use:
    """A reversal that came before its use: the use that comes late finds it and takes nothing (G15)."""
    return Use(
        id=request.id,
        till=request.till,
        request_number=request.request_number,
        state=UseState.REVERSED,
        fingerprint=None,
        till_reference=None,
        voucher_id=None,
        promise=None,
        expires_at=None,
        used_at=None,
        reversed_at=now,
        refusal=None,
        refusal_facts=None,
    )


def require_in_window(use: Use, now: datetime, window: timedelta) -> ReversalTooLate | None:
    """The error when a live use is too old to be reversed: the window ends `window` after it, exclusive."""
    if use.used_at is not None and now >= use.used_at + window:
        return ReversalTooLate(used_at=use.used_at.isoformat(), minutes=int(window.total_seconds() // 60))
    return None
