"""Answers of the calls about fulfillments."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel

from services.fulfillment.fulfillments.domain import Listed, Outcome, Stopped
from services.fulfillment.parcels.domain import Part


class PartView(BaseModel):
    """What a redemption hands out by one way: in the wallet, by courier or at a branch. `at` is when it came to its state."""

    way: str
    state: str
    lines: list[int]
    at: datetime
    carrier: str | None
    tracking_number: str | None
    branch: str | None
    ready_until: date | None

    @classmethod
    def of(cls, part: Part) -> "PartView":
        """The part as it is answered."""
        return cls(
            way=part.way,
            state=part.state,
            lines=list(part.lines),
            at=part.at,
            carrier=part.carrier,
            tracking_number=part.tracking_number,
            branch=part.branch,
            ready_until=part.ready_until,
        )


class OutcomeView(BaseModel):
    """What became of one item: accepted, mismatch (another body is known under the id) or cancelled."""

    id: UUID
    outcome: str
    state: str
    version: int
    parts: list[PartView]

    @classmethod
    def of(cls, outcome: Outcome) -> "OutcomeView":
        """The outcome as it is answered."""
        parts = [PartView.of(part) for part in outcome.parts]
        return cls(id=outcome.id, outcome=outcome.answer, state=outcome.state, version=outcome.version, parts=parts)


class OutcomesView(BaseModel):
    """One outcome an item, in the order in which they were sent."""

    items: list[OutcomeView]

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> "OutcomesView":
        """The outcomes as they are answered."""
        return cls(items=[OutcomeView.of(outcome) for outcome in outcomes])


class StoppedView(BaseModel):
    """What became of one cancellation: cancelled, partly or too_late.

    `cancelled_lines` are those that are not handed out; null means all of them, of something that never came here.
    """

    id: UUID
    outcome: str
    cancelled_lines: list[int] | None
    version: int
    parts: list[PartView]

    @classmethod
    def of(cls, stopped: Stopped) -> "StoppedView":
        """The cancellation as it is answered."""
        return cls(
            id=stopped.id,
            outcome=stopped.outcome,
            cancelled_lines=None if stopped.lines is None else list(stopped.lines),
            version=stopped.version,
            parts=[PartView.of(part) for part in stopped.parts],
        )


class CancellationsView(BaseModel):
    """One outcome an item, in the order in which they were sent."""

    items: list[StoppedView]


class LineView(BaseModel):
    """How many units a line asked for, and how many vouchers there are for it; goods have none."""

    number: int
    kind: str
    quantity: int
    vouchers: int


class FulfillmentView(BaseModel):
    """A fulfillment, for whoever compares books or waits; one that was cancelled before it came has no lines."""

    id: UUID
    state: str
    version: int
    changed_at: datetime
    lines: list[LineView]
    parts: list[PartView]

    @classmethod
    def of(cls, one: Listed) -> "FulfillmentView":
        """The fulfillment as it is answered."""
        return cls(
            id=one.id,
            state=one.state,
            version=one.version,
            changed_at=one.changed_at,
            lines=[LineView(number=x.number, kind=x.kind, quantity=x.quantity, vouchers=x.vouchers) for x in one.lines],
            parts=[PartView.of(part) for part in one.parts],
        )


class FulfillmentPage(BaseModel):
    """Fulfillments by id; `next` is the `after` of the following page, null at the end."""

    items: list[FulfillmentView]
    next: UUID | None

    @classmethod
    def of(cls, found: list[Listed], *, full: bool) -> "FulfillmentPage":
        """The page as it is answered."""
        return cls(items=[FulfillmentView.of(one) for one in found], next=found[-1].id if full else None)
