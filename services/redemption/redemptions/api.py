"""Redemptions over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers.access import customer_of, require_owner
from services.redemption.offers.domain import Offer
from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import REFUSALS, Line, OfferUnknown, Redemption, State
from services.redemption.redemptions.schemas import (
    LineOut,
    LineWish,
    RedemptionOut,
    RedemptionPage,
    RedemptionWish,
    RedemptionWithTimeline,
    RewardOut,
    TimelineEntryOut,
)
from services.redemption.redemptions.store import LineRow
from services.redemption.redemptions.use_cases.commands import Answer, Redeem
from services.redemption.redemptions.use_cases.redeem import Redeeming
from services.redemption.redemptions.words import event_in_words, state_in_words
from shared.answers import language_of, refusal_answer
from shared.app import new_router
from shared.audit import Actor
from shared.errors import DomainError
from shared.idempotency import NEEDS_KEY, attempt_of
from shared.idempotency import answer as kept_answer
from shared.identity import Principal, allow, customers, staff
from shared.ids import new_id
from shared.languages import Language
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX
from shared.problems import NeighbourUnavailable, NotFound

READERS = staff("agent", "supervisor", "branch", "auditor")


class AnswerWriter:
    """Writes answers for one request, in its language."""

    def __init__(self, request: Request) -> None:
        self._request = request
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

    def under_way(self, redemption: Redemption, lines: Sequence[LineRow]) -> Answer:
        """202: on record, not ended; asked again it shows how it stands then."""
        body = shown(redemption, lines, self._language).model_dump_json().encode()
        return Answer(202, body, f"/v1/redemptions/{redemption.id}")


def shown(redemption: Redemption, lines: Sequence[LineRow], language: Language) -> RedemptionOut:
    """A redemption as its owner sees it."""
    return RedemptionOut(
        id=redemption.id,
        mode=redemption.mode,
        state=redemption.state.value,
        state_words=state_in_words(redemption.state.value, language),
        campaign=redemption.campaign,
        price_points=redemption.price_points,
        lines=[_line_shown(row, language) for row in lines],
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


def redemption_router(parts: Parts, redeeming: Redeeming) -> APIRouter:
    """The routes of redemptions."""
    router = new_router()

    @router.post(
        "/v1/redemptions",
        status_code=201,
        responses={201: {"model": RedemptionOut}, 202: {"model": RedemptionOut}, 404: {}},
        openapi_extra=NEEDS_KEY,
    )
    async def redeem(
        request: Request, wish: RedemptionWish, who: Annotated[Principal, allow(customers("redemptions:write"))]
    ) -> Response:
        """Redeem points for rewards: 201 when confirmed, 202 with Location when it takes longer than three seconds."""
        attempt = attempt_of(request, who, wish.model_dump_json().encode())
        customer = await customer_of(parts, who)
        try:
            lines = tuple([await _line(parts, wish.campaign, number, line) for number, line in enumerate(wish.lines, start=1)])
        except (NeighbourUnavailable, OfferUnknown):
            # Nobody can say what the offer is; but a request that was answered before gets that answer.
            known = await redeeming.answer_again(attempt, AnswerWriter(request))
            if known is None:
                raise
            return kept_answer(known.status, known.body, known.location, replayed=known.replayed)
        command = Redeem(
            id=new_id(),
            attempt=attempt,
            customer=customer,
            campaign=wish.campaign,
            lines=lines,
            actor=Actor.of(who),
            writer=AnswerWriter(request),
        )
        outcome = await redeeming.redeem(command)
        return kept_answer(outcome.status, outcome.body, outcome.location, replayed=outcome.replayed)

    @router.get("/v1/redemptions", response_model=RedemptionPage)
    async def list_redemptions(
        request: Request,
        who: Annotated[Principal, allow(customers("redemptions:read"))],
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> RedemptionPage:
        """The caller's own redemptions, the newest first."""
        customer = await customer_of(parts, who)
        async with parts.database.transaction() as conn:
            return await _page(parts, conn, customer.id, limit, cursor, language_of(request))

    @router.get("/v1/customers/{customer_id}/redemptions", response_model=RedemptionPage)
    async def list_redemptions_of_customer(
        request: Request,
        customer_id: UUID,
        who: Annotated[Principal, allow(READERS)],
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> RedemptionPage:
        """A customer's redemptions as they see them themselves, the newest first, for staff."""
        async with parts.database.transaction() as conn:
            await require_owner(conn, who, customer_id)
            return await _page(parts, conn, customer_id, limit, cursor, language_of(request))

    @router.get("/v1/redemptions/{redemption_id}", response_model=RedemptionWithTimeline)
    async def show_redemption(
        request: Request, redemption_id: UUID, who: Annotated[Principal, allow(customers("redemptions:read"), READERS)]
    ) -> Any:
        """One redemption with its timeline in words."""
        async with parts.database.transaction() as conn:
            redemption = (await store.read(conn, [redemption_id])).get(redemption_id)
            if redemption is None:
                raise NotFound
            await require_owner(conn, who, redemption.customer_id)
            lines = (await store.read_lines(conn, [redemption_id]))[redemption_id]
            events = await store.read_events(conn, redemption_id)
        language = language_of(request)
        timeline = [
            TimelineEntryOut(at=e.at, kind=e.kind, actor=e.actor, words=event_in_words(e.kind, e.facts, language))
            for e in events
        ]
        return RedemptionWithTimeline(**shown(redemption, lines, language).model_dump(), timeline=timeline)

    return router


async def _page(
    parts: Parts, conn: AsyncConnection, customer_id: UUID, limit: int, cursor: str | None, language: Language
) -> RedemptionPage:
    """A page of one customer's redemptions; the customer may go on with a cursor that staff were given, and the other way."""
    scope = f"redemptions|{customer_id}"
    position = parts.cursors.read(scope, cursor)
    before = UUID(position[0]) if position else None
    found = await store.read_of_customer(conn, customer_id, before=before, most=limit + 1)
    lines = await store.read_lines(conn, [r.id for r in found])
    more = parts.cursors.make(scope, [found[limit - 1].id]) if len(found) > limit else None
    return RedemptionPage(items=[shown(r, lines[r.id], language) for r in found[:limit]], next=more)


async def _line(parts: Parts, campaign: str, number: int, wish: LineWish) -> Line:
    offer: Offer | None = await parts.catalog.offer(wish.offer_id, wish.offer_version)
    if offer is None or offer.campaign != campaign:
        raise OfferUnknown(line=number)
    return Line(number, offer, wish.quantity)
