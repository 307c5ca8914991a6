"""The tills' routes. Codes come in bodies alone, and no answer, refusal or log repeats them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.fulfillment.answers import json_answer
from services.fulfillment.merchants.domain import Till
from services.fulfillment.tills.lanes import Lanes
from services.fulfillment.tills.requests import Requests
from services.fulfillment.tills.schemas import ReversalBody, UseBody, UseView, VerificationBody, VerificationView
from services.fulfillment.tills.use_cases import Tills
from shared.answers import refusal_answer
from shared.app import new_router
from shared.hot_routes import hot
from shared.idempotency import REPLAYED
from shared.identity import Principal, allow, merchants

Verifier = Annotated[Principal, allow(merchants("vouchers:verify"))]
User = Annotated[Principal, allow(merchants("vouchers:use"))]
RequestNumber = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
"""A till's own number for one attempt, unique for its terminal."""


def till_router(lanes: Lanes, tills: Tills, requests: Requests) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.put("/v1/uses/{request_number}", responses={200: {"model": UseView}})
    @hot
    async def use_voucher(request: Request, request_number: RequestNumber, body: UseBody, who: User) -> Response:
        """Use a voucher once. The same request again gets the same answer, a refusal too; every attempt has its own number."""
        asked = requests.use(who, till_of(who), request_number, body.code.get_secret_value(), body.till_reference)
        outcome = await lanes.use.submit(asked)
        error = outcome.use.error()
        if error is None:
            return json_answer(UseView.of(outcome.use), replayed=outcome.replayed)
        refusal = refusal_answer(request, error)
        assert refusal is not None
        if outcome.replayed:
            refusal.headers.update(REPLAYED)
        return refusal

    @router.post("/v1/verifications", responses={200: {"model": VerificationView}, 404: {}})
    async def verify_voucher(body: VerificationBody, who: Verifier) -> Response:
        """Whether a voucher can be used here now. Changes nothing."""
        found, state = await tills.verify(till_of(who), requests.code_hmac(body.code.get_secret_value()))
        return json_answer(VerificationView.of(found, state))

    @router.put("/v1/uses/{request_number}/reversal", responses={200: {"model": UseView}})
    async def reverse_use(request_number: RequestNumber, who: User, body: ReversalBody | None = None) -> Response:
        """Take a use back within the window. One that has not come yet never will: send this whenever an answer was lost."""
        reason = (body or ReversalBody()).reason
        outcome = await lanes.reverse.submit(requests.reversal(who, till_of(who), request_number, reason))
        return json_answer(UseView.of(outcome.use), replayed=outcome.replayed)

    @router.get("/v1/uses/{request_number}", responses={200: {"model": UseView}})
    async def read_use(request_number: RequestNumber, who: User) -> Response:
        """How a request of this terminal ended."""
        till = till_of(who)
        return json_answer(UseView.of(await tills.find((till.merchant, till.terminal, request_number))))

    return router


def till_of(who: Principal) -> Till:
    """The till that calls; a merchant's token names both."""
    assert who.merchant is not None
    assert who.terminal is not None
    return Till(who.merchant, who.terminal)
