"""Bodies and answers of the calls about fulfillments."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from services.fulfillment.fulfillments.domain import ITEMS_MAX, LINES_MAX, QUANTITY_MAX, Line, Listed, Outcome, Wish
from services.fulfillment.views import Strict, TextView
from services.fulfillment.vouchers.domain import Owner, Promise
from shared.actors import ActorBody
from shared.audit import Actor

VALID_DAYS_MAX = 36_500
MERCHANTS_MAX = 1_000

Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=400)]


class OwnerBody(Strict):
    """Whose fulfillment it is, as access tokens name the customer."""

    issuer: Word
    subject: Word


class RewardBody(Strict):
    """Which reward is handed out."""

    code: Code
    names: TextView


class VoucherBody(Strict):
    """What the vouchers of a line promise. Validity is in days of the bank; the day of issue is not counted."""

    face_value_minor: int = Field(ge=1, le=2**53, strict=True)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    valid_days: int = Field(ge=1, le=VALID_DAYS_MAX, strict=True)
    merchants: list[Code] = Field(min_length=1, max_length=MERCHANTS_MAX)
    terms: TextView


class LineBody(Strict):
    """So many units of one reward."""

    number: int = Field(ge=1, le=LINES_MAX, strict=True)
    quantity: int = Field(ge=1, le=QUANTITY_MAX, strict=True)
    kind: Literal["e_voucher"]
    reward: RewardBody
    voucher: VoucherBody

    def as_line(self) -> Line:
        """The line as the domain has it."""
        promise = Promise(
            reward_code=self.reward.code,
            names=self.reward.names.as_text(),
            terms=self.voucher.terms.as_text(),
            face_value_minor=self.voucher.face_value_minor,
            currency=self.voucher.currency,
            valid_days=self.voucher.valid_days,
            merchants=tuple(self.voucher.merchants),
        )
        return Line(self.number, self.quantity, promise)


class WishBody(Strict):
    """What one redemption asks to be handed out; `id` is the redemption's."""

    id: UUID
    customer_id: UUID
    owner: OwnerBody
    campaign: Code
    lines: list[LineBody] = Field(min_length=1, max_length=LINES_MAX)

    @model_validator(mode="after")
    def _numbers_differ(self) -> "WishBody":
        if len({line.number for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have one number")
        return self

    def as_wish(self, actor: Actor) -> Wish:
        """The wish as the domain has it, with the hash of what was sent."""
        return Wish(
            id=self.id,
            fingerprint=hashlib.sha256(self.model_dump_json(exclude_unset=True).encode()).digest(),
            customer_id=self.customer_id,
            owner=Owner(self.owner.issuer, self.owner.subject),
            campaign=self.campaign,
            lines=tuple(line.as_line() for line in self.lines),
            actor=actor,
        )


class FulfillmentsBody(Strict):
    """Accept fulfillments for many redemptions at once."""

    actor: ActorBody
    items: list[WishBody] = Field(min_length=1, max_length=ITEMS_MAX)


class OutcomeView(BaseModel):
    """What became of one item: accepted, mismatch (another body is known under the id) or cancelled (before it came)."""

    id: UUID
    outcome: str
    state: str
    version: int


class OutcomesView(BaseModel):
    """One outcome an item, in the order in which they were sent."""

    items: list[OutcomeView]

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> "OutcomesView":
        """The outcomes as they are answered."""
        return cls(items=[OutcomeView(id=o.id, outcome=o.answer, state=o.state, version=o.version) for o in outcomes])


class LineView(BaseModel):
    """How many units a line asked for, and how many vouchers there are for it."""

    number: int
    quantity: int
    vouchers: int


class FulfillmentView(BaseModel):
    """A fulfillment, for whoever compares books; one that was cancelled before it came has no lines."""

    id: UUID
    state: str
    changed_at: datetime
    lines: list[LineView]


class FulfillmentPage(BaseModel):
    """Fulfillments by id; `next` is the `after` of the following page, null at the end."""

    items: list[FulfillmentView]
    next: UUID | None

    @classmethod
    def of(cls, found: list[Listed], *, full: bool) -> "FulfillmentPage":
        """The page as it is answered."""
        items = [
            FulfillmentView(
                id=one.id,
                state=one.state,
                changed_at=one.changed_at,
                lines=[LineView(number=x.number, quantity=x.quantity, vouchers=x.vouchers) for x in one.lines],
            )
            for one in found
        ]
        return cls(items=items, next=found[-1].id if full else None)
