"""The wallet over HTTP: customers see their own vouchers, staff see anybody's without codes."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.vouchers.codes import grouped
from services.fulfillment.vouchers.domain import Owner
from services.fulfillment.vouchers.qr import qr_svg
from services.fulfillment.vouchers.schemas import CodeView, VoucherView, WalletView
from services.fulfillment.vouchers.use_cases import Shown, Wallet
from shared.app import new_router
from shared.identity import Principal, allow, customers, staff
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX, Cursors

OwnerOnly = Annotated[Principal, allow(customers("vouchers:read"))]
Viewer = Annotated[Principal, allow(customers("vouchers:read"), staff("agent", "supervisor", "auditor", "branch"))]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]


def voucher_router(wallet: Wallet, cursors: Cursors) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.get("/v1/vouchers", responses={200: {"model": WalletView}})
    async def list_own(who: OwnerOnly, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Response:
        """The caller's own vouchers, newest first, without codes."""
        scope = f"vouchers|{who.issuer}|{who.subject}"
        found = await wallet.list_own(Owner(who.issuer, who.subject), _before(cursors, scope, cursor), limit + 1)
        return _page(found, limit, cursors, scope)

    @router.get("/v1/customers/{customer_id}/vouchers", responses={200: {"model": WalletView}})
    async def list_of_customer(who: Viewer, customer_id: UUID, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Response:
        """A customer's vouchers, newest first, without codes. Somebody else's answer like an absent one."""
        scope = f"vouchers-of|{customer_id}"
        found = await wallet.list_of(customer_id, who, _before(cursors, scope, cursor), limit + 1)
        return _page(found, limit, cursors, scope)

    @router.get("/v1/vouchers/{voucher_id}", responses={200: {"model": VoucherView}})
    async def read_voucher(who: Viewer, voucher_id: UUID) -> Response:
        """One voucher, without its code."""
        return json_answer(VoucherView.of(await wallet.show(voucher_id, who)))

    @router.get("/v1/vouchers/{voucher_id}/code", responses={200: {"model": CodeView}, 409: {}})
    async def read_code(who: OwnerOnly, voucher_id: UUID) -> Response:
        """The code and its QR code, for the owner alone, while the voucher can be used. Never kept by a cache."""
        code = await wallet.show_code(voucher_id, Owner(who.issuer, who.subject))
        return json_answer(CodeView(code=grouped(code), qr_svg=qr_svg(code)))

    return router


def _owner(who: Principal) -> Owner | None:
    """Whose vouchers the caller may see: a customer's own; staff see anybody's."""
    return Owner(who.issuer, who.subject) if who.kind == "customer" else None


def _before(cursors: Cursors, scope: str, cursor: str | None) -> UUID | None:
    position = cursors.read(scope, cursor)
    return None if position is None else UUID(position[0])


def _page(found: Sequence[Shown], limit: int, cursors: Cursors, scope: str) -> Response:
    """One more than asked for was read, to know whether there is a next page."""
    following = cursors.make(scope, [str(found[limit - 1].voucher.id)]) if len(found) > limit else None
    return json_answer(WalletView(items=[VoucherView.of(shown) for shown in found[:limit]], next=following))
