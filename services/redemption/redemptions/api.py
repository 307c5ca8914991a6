"""Redemptions over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers.access import customer_of, require_reader
from services.redemption.deliveries.domain import AddressUnknown, BranchUnknown
from services.redemption.deliveries.schemas import OutcomesBody, OutcomesView, OutcomeView
from services.redemption.deliveries.use_cases import choose_delivery
from services.redemption.offers.domain import Offer
from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.answers import AnswerWriter, shown, shown_whole
from services.redemption.redemptions.domain import Line, OfferUnknown
from services.redemption.redemptions.schemas import (
    CancellationWish,
    LineWish,
    RedemptionOut,
    RedemptionPage,
    RedemptionWish,
    RedemptionWithTimeline,
)
from services.redemption.redemptions.use_cases.cancel import Cancel, Cancelling
from services.redemption.redemptions.use_cases.commands import Redeem
from services.redemption.redemptions.use_cases.outcomes import take_outcomes
from services.redemption.redemptions.use_cases.redeem import Redeeming
from services.redemption.redemptions.use_cases.show import read_whole
from shared.answers import language_of
from shared.app import new_router
from shared.audit import Actor
from shared.errors import FieldError
from shared.hot_routes import hot
from shared.idempotency import NEEDS_KEY, attempt_of
from shared.idempotency import answer as kept_answer
from shared.identity import Principal, allow, customers, services, staff
from shared.ids import new_id
from shared.languages import Language
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX
from shared.problems import InvalidInput, NeighbourUnavailable, NotFound

READERS = staff("agent", "supervisor", "branch", "auditor")


def redemption_router(parts: Parts, redeeming: Redeeming) -> APIRouter:
    """The routes of redemptions."""
    router = new_router()

    @router.post(
        "/v1/redemptions",
        status_code=201,
        responses={201: {"model": RedemptionOut}, 202: {"model": RedemptionOut}, 404: {}},
        openapi_extra=NEEDS_KEY,
    )
    @hot
    async def redeem(
        request: Request, wish: RedemptionWish, who: Annotated[Principal, allow(customers("redemptions:write"))]
    ) -> Response:
        """Redeem points for rewards: 201 when confirmed, 202 with Location when it takes longer than three seconds."""
        # What is not said is no part of it: a request without goods is the same as before there were any.
        attempt = attempt_of(request, who, wish.model_dump_json(exclude_none=True).encode())
        customer = await customer_of(parts, who)
        redemption_id = new_id()
        try:
            lines = tuple([await _line(parts, wish.campaign, number, line) for number, line in enumerate(wish.lines, start=1)])
            offers = [(line.number, line.offer) for line in lines]
            delivery = await choose_delivery(parts, customer, redemption_id, offers, wish.delivery)
        except (NeighbourUnavailable, OfferUnknown, AddressUnknown, BranchUnknown):
            # Nobody can say what the offer is, or the address is gone; but a request that was answered before gets that answer.
            known = await redeeming.answer_again(attempt, AnswerWriter(request, who))
            if known is None:
                raise
            return kept_answer(known.status, known.body, known.location, replayed=known.replayed)
        command = Redeem(
            id=redemption_id,
            attempt=attempt,
            customer=customer,
            campaign=wish.campaign,
            lines=lines,
            actor=Actor.of(who),
            writer=AnswerWriter(request, who),
            delivery=delivery,
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
            await require_reader(parts, conn, who, customer_id, "redemptions")
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
            await require_reader(parts, conn, who, redemption.customer_id, f"redemption:{redemption_id}")
            whole = await read_whole(conn, redemption)
        return shown_whole(whole, language_of(request), who)

    return router


def ending_router(parts: Parts, cancelling: Cancelling) -> APIRouter:
    """The routes by which redemptions come to their ends: somebody cancels, or fulfillment tells."""
    router = new_router()

    @router.post(
        "/v1/redemptions/{redemption_id}/cancellation",
        responses={200: {"model": RedemptionWithTimeline}, 202: {"model": RedemptionWithTimeline}, 404: {}},
        openapi_extra=NEEDS_KEY,
    )
    async def cancel_redemption(
        request: Request,
        redemption_id: UUID,
        wish: CancellationWish,
        who: Annotated[Principal, allow(customers("redemptions:write"), staff("agent", "supervisor"))],
    ) -> Response:
        """Cancel what has not left yet: 200 when it, or a part of it, is cancelled, 202 when that takes longer."""
        attempt = attempt_of(request, who, wish.model_dump_json().encode())
        if who.kind == "staff" and wish.reason is None:
            raise InvalidInput(FieldError("reason", "missing"))
        actor = Actor.of(who, reason=wish.reason or "")
        outcome = await cancelling.cancel(Cancel(redemption_id, attempt, who, actor, AnswerWriter(request, who)))
        return kept_answer(outcome.status, outcome.body, outcome.location, replayed=outcome.replayed)

    @router.put("/internal/v1/outcomes", response_model=OutcomesView)
    async def put_outcomes(body: OutcomesBody, who: Annotated[Principal, allow(services("outcomes:write"))]) -> OutcomesView:
        """Fulfillment tells how parts stand. Sending again, late or out of order changes nothing (G34)."""
        outcomes = await take_outcomes(parts, [item.as_report() for item in body.items], body.actor.as_actor(who))
        return OutcomesView(items=[OutcomeView(id=item.id, outcome=outcomes[item.id]) for item in body.items])

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
