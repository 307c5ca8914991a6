"""The counter of my branch: parcels that arrive, wait and were handed over; a code is checked before one goes out.

What cannot be found any more is reported as lost: its customer gets the points back.
"""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response

from services.console.answering import fulfillment_of, go_on, load, show
from services.console.entrance import Visit, enter
from services.console.neighbours.calls import ServiceRefused, ServiceSilent
from services.console.rooms import HANDING_OVER
from services.console.words.book import say

STATES = ("in_transfer", "ready", "collected")
CODE_CHARACTERS_MAX = 64
REASON_CHARACTERS_MAX = 200
RETRY_SECONDS = 60
Counter = Annotated[Visit, enter(*HANDING_OVER)]


def short(parcel_id: UUID) -> str:
    """How a parcel is called at the counter: the last eight signs of its id."""
    return parcel_id.hex[-8:].upper()


def pickup_router() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/pickups")
    async def list_pickups(visit: Counter, state: str = "ready", arrived: UUID | None = None) -> Response:
        """The branch's parcels in one state."""
        shown = state if state in STATES else "ready"
        branch = visit.session.branch
        pickups = None if branch is None else await load(fulfillment_of(visit).pickups(branch, shown))
        named = short(arrived) if arrived else None
        return show(
            visit, "pickups/list.html", states=STATES, state=shown, branch=branch, pickups=pickups, arrived=named, short=_short
        )

    @router.post("/pickups/{parcel_id}/arrival")
    async def confirm_arrival(visit: Counter, parcel_id: UUID) -> Response:
        """The parcel is here. Twice is the same as once."""
        await fulfillment_of(visit).confirm_arrival(parcel_id)
        return go_on(f"/pickups?{urlencode({'state': 'in_transfer', 'arrived': str(parcel_id)})}")

    @router.get("/pickups/{parcel_id}/handover")
    async def show_handover(visit: Counter, parcel_id: UUID) -> Response:
        """One field for the code; a scanner types it and presses Enter."""
        return _handover(visit, parcel_id)

    @router.post("/pickups/{parcel_id}/handover")
    async def hand_over(visit: Counter, parcel_id: UUID) -> Response:
        """Check the code. Only a right one says that the parcel may go."""
        code = "".join(visit.form.get("code", "")[:CODE_CHARACTERS_MAX].replace("-", " ").split())
        try:
            await fulfillment_of(visit).hand_over(parcel_id, code)
        except ServiceRefused as refusal:
            return _handover(visit, parcel_id, status=refusal.status, problem=_words_for(visit, refusal))
        except ServiceSilent as silence:
            problem = say(visit.language, silence.outcome)
            return _handover(visit, parcel_id, status=503, problem=problem)
        return show(visit, "pickups/handed_over.html", parcel=short(parcel_id))

    _losing_routes(router)
    return router


def _losing_routes(router: APIRouter) -> None:
    @router.get("/pickups/{parcel_id}/loss")
    async def ask_before(visit: Counter, parcel_id: UUID) -> Response:
        """What follows from it, and the form."""
        return _loss(visit, parcel_id)

    @router.post("/pickups/{parcel_id}/loss")
    async def report_loss(visit: Counter, parcel_id: UUID) -> Response:
        """Put on record that it is lost. When nobody answers, the same form can be sent again: it is lost once."""
        reason = visit.form.get("reason", "").strip()[:REASON_CHARACTERS_MAX]
        if not reason:
            return _loss(visit, parcel_id, status=422, problem=say(visit.language, "reason.missing"))
        try:
            await fulfillment_of(visit).report_loss(parcel_id, reason)
        except ServiceRefused as refusal:
            problem = refusal.sentence or say(visit.language, "problem.refused")
            return _loss(visit, parcel_id, reason=reason, status=refusal.status, problem=problem)
        except ServiceSilent as silence:
            problem = say(visit.language, silence.outcome)
            return _loss(visit, parcel_id, reason=reason, status=503, problem=problem)
        return show(visit, "pickups/lost.html", parcel=short(parcel_id))


def _short(parcel_id: str) -> str:
    return short(UUID(parcel_id))


def _words_for(visit: Visit, refusal: ServiceRefused) -> str:
    if refusal.code == "pickup-code-wrong" or refusal.status == 422:  # not even of a code's form
        return say(visit.language, "handover.wrong")
    if refusal.status == 429:
        return say(visit.language, "handover.throttled", seconds=refusal.retry_after_seconds or RETRY_SECONDS)
    return refusal.sentence or say(visit.language, "problem.refused")


def _handover(visit: Visit, parcel_id: UUID, *, status: int = 200, problem: str | None = None) -> Response:
    action = f"/pickups/{parcel_id}/handover"
    return show(visit, "pickups/handover.html", status=status, parcel=short(parcel_id), action=action, problem=problem)


def _loss(visit: Visit, parcel_id: UUID, *, reason: str = "", status: int = 200, problem: str | None = None) -> Response:
    values = {"parcel": short(parcel_id), "action": f"/pickups/{parcel_id}/loss", "reason": reason, "problem": problem}
    return show(visit, "pickups/loss.html", status=status, most=REASON_CHARACTERS_MAX, **values)
