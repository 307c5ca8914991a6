"""Parcels over HTTP: customers see their own, staff see anybody's without contacts, the counter confirms its branch's."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.parcels.counter import Counter, Deed
from services.fulfillment.parcels.domain import ParcelState, TooManyAttempts
from services.fulfillment.parcels.losses import Losses
from services.fulfillment.parcels.pickup_codes import grouped
from services.fulfillment.parcels.schemas import HandoverBody, LossBody, ParcelsView, ParcelView, PickupCodeView
from services.fulfillment.parcels.use_cases import Parcels, Shown
from services.fulfillment.vouchers.domain import Owner
from services.fulfillment.vouchers.qr import qr_svg
from shared.answers import refusal_answer
from shared.app import new_router
from shared.audit import Actor
from shared.batcher import Batcher
from shared.identity import Principal, allow, customers, staff
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX, Cursors

OwnerOnly = Annotated[Principal, allow(customers("vouchers:read"))]
Viewer = Annotated[Principal, allow(customers("vouchers:read"), staff("agent", "supervisor", "auditor", "branch"))]
Staff = Annotated[Principal, allow(staff("agent", "supervisor", "auditor", "branch"))]
Responsible = Annotated[Principal, allow(staff("supervisor", "branch"))]
AtCounter = Annotated[Principal, allow(staff("branch"))]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
BranchCode = Annotated[str, Path(min_length=1, max_length=64)]
PickupState = Literal["preparing", "in_transfer", "ready", "collected", "returned", "lost", "cancelled"]


def parcel_router(
    parcels: Parcels, counter: Counter, at_counter: Batcher[Deed, None], losses: Losses, cursors: Cursors
) -> APIRouter:
    """The routes."""
    router = new_router()
    _reading_routes(router, parcels, cursors)
    _branch_route(router, parcels, cursors)
    _counter_routes(router, parcels, counter, at_counter)
    _loss_route(router, parcels, losses, at_counter)
    return router


def _reading_routes(router: APIRouter, parcels: Parcels, cursors: Cursors) -> None:
    @router.get("/v1/parcels", responses={200: {"model": ParcelsView}})
    async def list_own_parcels(who: OwnerOnly, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Response:
        """The caller's own parcels, newest first."""
        scope = f"parcels|{who.issuer}|{who.subject}"
        found = await parcels.list_own(Owner(who.issuer, who.subject), _before(cursors, scope, cursor), limit + 1)
        return _page(found, limit, cursors, scope)

    @router.get("/v1/customers/{customer_id}/parcels", responses={200: {"model": ParcelsView}})
    async def list_parcels_of_customer(
        who: Staff,
        customer_id: UUID,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        """A customer's parcels, newest first, for staff; the look is on record."""
        scope = f"parcels-of|{customer_id}"
        found = await parcels.list_of(customer_id, who, _before(cursors, scope, cursor), limit + 1)
        return _page(found, limit, cursors, scope)

    @router.get("/v1/parcels/{parcel_id}", responses={200: {"model": ParcelView}})
    async def read_parcel(who: Viewer, parcel_id: UUID) -> Response:
        """One parcel with its timeline. Somebody else's answers like an absent one."""
        return json_answer(ParcelView.of(await parcels.show(parcel_id, who)))

    @router.get("/v1/parcels/{parcel_id}/pickup-code", responses={200: {"model": PickupCodeView}, 409: {}})
    async def read_pickup_code(who: OwnerOnly, parcel_id: UUID) -> Response:
        """The pickup code and its QR code, for the owner alone, while the parcel lies ready. Never kept by a cache."""
        code = await parcels.show_code(parcel_id, Owner(who.issuer, who.subject))
        return json_answer(PickupCodeView(code=grouped(code), qr_svg=qr_svg(code)))


def _branch_route(router: APIRouter, parcels: Parcels, cursors: Cursors) -> None:
    @router.get("/v1/branches/{code}/pickups", responses={200: {"model": ParcelsView}})
    async def list_pickups(
        who: AtCounter,
        code: BranchCode,
        state: PickupState | None = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        """The parcels of the caller's own branch in a state, or all that are not at their end. Other branches are absent."""
        scope = f"pickups|{code}|{state}"
        wanted = None if state is None else ParcelState(state)
        found = await parcels.list_at(code, who.branch, wanted, _before(cursors, scope, cursor), limit + 1)
        return _page(found, limit, cursors, scope)


def _counter_routes(router: APIRouter, parcels: Parcels, counter: Counter, at_counter: Batcher[Deed, None]) -> None:
    @router.put("/v1/parcels/{parcel_id}/arrival", responses={200: {"model": ParcelView}, 409: {}})
    async def take_in_parcel(who: AtCounter, parcel_id: UUID) -> Response:
        """A parcel arrived at the caller's branch: the customer gets a code and is told. Again changes nothing."""
        actor = Actor.of(who, reason="arrived at the branch")
        await at_counter.submit(partial(counter.take_in, parcel_id, who.branch, actor))
        return json_answer(ParcelView.of(await parcels.show_changed(parcel_id)))

    @router.put("/v1/parcels/{parcel_id}/handover", responses={200: {"model": ParcelView}, 409: {}, 429: {}})
    async def hand_over_parcel(request: Request, who: AtCounter, parcel_id: UUID, body: HandoverBody) -> Response:
        """Hand a parcel over for its code. Again with the code changes nothing; five wrong ones in ten minutes are enough."""
        actor = Actor.of(who, reason="handed over at the counter")
        try:
            await at_counter.submit(partial(counter.hand_over, parcel_id, who.branch, body.code.get_secret_value(), actor))
        except TooManyAttempts as error:
            refusal = refusal_answer(request, error)
            assert refusal is not None
            refusal.headers["Retry-After"] = str(error.facts["retry_after_seconds"])
            return refusal
        return json_answer(ParcelView.of(await parcels.show_changed(parcel_id)))


def _loss_route(router: APIRouter, parcels: Parcels, losses: Losses, at_counter: Batcher[Deed, None]) -> None:
    @router.put("/v1/parcels/{parcel_id}/loss", responses={200: {"model": ParcelView}, 409: {}})
    async def report_loss(who: Responsible, parcel_id: UUID, body: LossBody) -> Response:
        """A parcel was lost on its way to a branch or at it: the points go back. A branch says it of its own alone."""
        branch = None if "supervisor" in who.roles else who.branch or ""
        await at_counter.submit(partial(losses.report, parcel_id, branch, Actor.of(who, reason=body.reason)))
        return json_answer(ParcelView.of(await parcels.show_changed(parcel_id)))


def _before(cursors: Cursors, scope: str, cursor: str | None) -> UUID | None:
    position = cursors.read(scope, cursor)
    return None if position is None else UUID(position[0])


def _page(found: Sequence[Shown], limit: int, cursors: Cursors, scope: str) -> Response:
    """One more than asked for was read, to know whether there is a next page."""
    following = cursors.make(scope, [str(found[limit - 1].parcel.id)]) if len(found) > limit else None
    return json_answer(ParcelsView(items=[ParcelView.of(shown) for shown in found[:limit]], next=following))
