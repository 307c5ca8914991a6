"""Redemptions as they are shown, and answers as they are kept under a key."""

from collections.abc import Sequence

from fastapi import Request

from services.redemption.deliveries.domain import Delivery, PartState
from services.redemption.deliveries.schemas import DeliveryOut, PartOut
from services.redemption.redemptions.domain import CANCELLABLE, REFUSALS, Redemption, State, TimelineEntry
from services.redemption.redemptions.schemas import (
    LineOut,
    RedemptionOut,
    RedemptionWithTimeline,
    ReturnLineOut,
    ReturnOut,
    RewardOut,
    TimelineEntryOut,
)
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.commands import Answer
from services.redemption.redemptions.use_cases.show import Whole
from services.redemption.redemptions.words import event_in_words, state_in_words
from services.redemption.returns.domain import Return, ReturnLine, points_of
from shared.answers import language_of, refusal_answer
from shared.errors import DomainError
from shared.identity import Principal
from shared.languages import Language


class AnswerWriter:
    """Writes answers for one request, in its language and for its caller's eyes."""

    def __init__(self, request: Request, who: Principal) -> None:
        self._request = request
        self._who = who
        self._language: Language = language_of(request)

    def redemption(self, redemption: Redemption, lines: Sequence[LineRow]) -> Answer:
        """201 with the redemption, or the problem for which it was declined."""
        if redemption.state is State.DECLINED:
            reason = dict(redemption.reasons[0])
            facts = {**reason.get("facts", {}), "redemption_id": str(redemption.id)}
            if reason.get("line") is not None:
                facts["line"] = reason["line"]
            return self.refusal(REFUSALS[reason["code"]](**facts))
        body = shown(redemption, lines, self._language).model_dump_json().encode()
        return Answer(201, body, f"/v1/redemptions/{redemption.id}")

    def refusal(self, error: DomainError) -> Answer:
        """The problem."""
        problem = refusal_answer(self._request, error)
        if problem is None:
            raise error
        return Answer(problem.status_code, bytes(problem.body))

    def whole(self, whole: Whole) -> Answer:
        """200 with the redemption and all that belongs to it."""
        return Answer(200, shown_whole(whole, self._language, self._who).model_dump_json().encode())

    def undecided(self, whole: Whole) -> Answer:
        """202: whether it can still be stopped is being asked; asked again it shows how it stands then."""
        body = shown_whole(whole, self._language, self._who).model_dump_json().encode()
        return Answer(202, body, f"/v1/redemptions/{whole.redemption.id}")

    def under_way(self, redemption: Redemption, lines: Sequence[LineRow]) -> Answer:
        """202: on record, not ended; asked again it shows how it stands then."""
        body = shown(redemption, lines, self._language).model_dump_json().encode()
        return Answer(202, body, f"/v1/redemptions/{redemption.id}")


def shown(redemption: Redemption, lines: Sequence[LineRow], language: Language) -> RedemptionOut:
    """A redemption as its owner sees it."""
    return RedemptionOut(
        id=redemption.id,
        customer_id=redemption.customer_id,
        mode=redemption.mode,
        state=redemption.state.value,
        state_words=state_in_words(redemption.state.value, language),
        campaign=redemption.campaign,
        price_points=redemption.price_points,
        lines=[_line_shown(row, language) for row in lines],
        cancellable=redemption.state in CANCELLABLE,
        accepted_at=redemption.accepted_at,
        changed_at=redemption.changed_at,
    )


def _line_shown(row: LineRow, language: Language) -> LineOut:
    return LineOut(
        number=row["number"],
        offer_id=row["offer_id"],
        offer_version=row["offer_version"],
        reward=RewardOut(code=row["reward"]["code"], name=row["reward"]["names"][language]),
        quantity=row["quantity"],
        unit_points=row["unit_points"],
        points=row["quantity"] * row["unit_points"],
    )


def shown_whole(whole: Whole, language: Language, who: Principal) -> RedemptionWithTimeline:
    """A redemption with all that belongs to it, as far as the caller may see it."""
    head = shown(whole.redemption, whole.lines, language)
    if whole.delivery is not None and whole.delivery.parts:
        waiting = any(part.state is PartState.PREPARING for part in whole.delivery.parts)
        head = head.model_copy(update={"cancellable": head.cancellable and waiting})
    return RedemptionWithTimeline(
        **head.model_dump(),
        delivery=None if whole.delivery is None else _delivery_shown(whole.delivery, language),
        returns=[_return_shown(document, lines) for document, lines in whole.returns],
        timeline=[_entry_shown(entry, language, who) for entry in whole.timeline],
    )


def _entry_shown(entry: TimelineEntry, language: Language, who: Principal) -> TimelineEntryOut:
    """What happened. Who of the staff did it, and the reason that they wrote down, are for staff; customers see their own."""
    if who.kind == "staff" or entry.actor.startswith("customer:"):
        return TimelineEntryOut(
            at=entry.at, kind=entry.kind, actor=entry.actor, words=event_in_words(entry.kind, entry.facts, language)
        )
    by_staff = entry.actor.startswith("staff:")
    facts = {name: value for name, value in entry.facts.items() if name != "reason"}
    words = event_in_words(entry.kind, facts, language, by_staff=by_staff)
    return TimelineEntryOut(at=entry.at, kind=entry.kind, actor="staff" if by_staff else entry.actor, words=words)


def _delivery_shown(delivery: Delivery, language: Language) -> DeliveryOut:
    return DeliveryOut(
        way=delivery.way.value,
        branch=delivery.branch,
        branch_name=delivery.branch_names[language] if delivery.branch_names else None,
        parts=[
            PartOut(
                way=part.way.value,
                state=part.state.value,
                lines=list(part.lines),
                carrier=part.carrier,
                tracking_number=part.tracking_number,
                ready_until=part.ready_until,
            )
            for part in delivery.parts
        ],
    )


def _return_shown(document: Return, lines: Sequence[ReturnLine]) -> ReturnOut:
    return ReturnOut(
        id=document.id,
        kind=document.kind.value,
        state=document.state.value,
        requested_at=document.requested_at,
        decided_at=document.decided_at,
        points=points_of(lines),
        lines=[ReturnLineOut(number=line.number, quantity=line.quantity, points=line.points) for line in lines],
    )
