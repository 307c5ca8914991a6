"""One redemption with its timeline, and cancelling it: what comes back is named first, what became of it said plainly."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response

from services.console.answering import Section, go_on, load, redemption_of, show
from services.console.entrance import Visit, enter
from services.console.neighbours.calls import ServiceRefused, ServiceSilent
from services.console.rooms import CANCELLING, FINDING
from services.console.words.book import say
from shared.ids import new_id

REASON_CHARACTERS_MAX = 200
LOOK_AGAIN_SECONDS = 3
MAY_STILL_CANCEL = frozenset({"accepted", "confirmed", "delivering"})
Reader = Annotated[Visit, enter(*FINDING)]
Canceller = Annotated[Visit, enter(*CANCELLING)]


def cancelling_router() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/customers/{customer_id}/redemptions/{redemption_id}")
    async def show_redemption(visit: Reader, customer_id: UUID, redemption_id: UUID) -> Response:
        """One redemption with its timeline, to be read out."""
        section = await load(redemption_of(visit).redemption(redemption_id))
        may_cancel = visit.session.has_role(*CANCELLING) and _may_still_cancel(section)
        values: dict[str, Any] = {
            "customer_id": str(customer_id),
            "redemption_id": str(redemption_id),
            "may_cancel": may_cancel,
        }
        return show(visit, "customers/redemption.html", section=section, **values)

    @router.get("/customers/{customer_id}/redemptions/{redemption_id}/cancellation")
    async def ask_before(visit: Canceller, customer_id: UUID, redemption_id: UUID) -> Response:
        """What would come back, and the form. Its key is made with it, so that sending it twice does it once."""
        found = await redemption_of(visit).redemption(redemption_id)
        return _form(visit, customer_id, found, key=str(new_id()))

    @router.post("/customers/{customer_id}/redemptions/{redemption_id}/cancellation")
    async def cancel(visit: Canceller, customer_id: UUID, redemption_id: UUID) -> Response:
        """Ask for it, and show what became of it. When nobody answers, the same form can be sent again."""
        redemption = redemption_of(visit)
        key, reason = visit.form.get("key") or str(new_id()), visit.form.get("reason", "")[:REASON_CHARACTERS_MAX]
        if not reason:
            found = await redemption.redemption(redemption_id)
            return _form(visit, customer_id, found, key=key, status=422, problem="tasks.reason.missing")
        try:
            status, found = await redemption.cancel(redemption_id, reason, key)
        except ServiceRefused as refusal:
            if refusal.code != "too-late-to-cancel":
                raise
            return _outcome(visit, customer_id, redemption_id, "late", {})
        except ServiceSilent as silence:
            problem = "silent.unknown" if silence.sent else "silent.nothing_done"
            return _form(visit, customer_id, None, key=key, reason=reason, status=503, problem=problem)
        return _outcome(visit, customer_id, redemption_id, "done" if status == 200 else "under_way", found)

    @router.get("/customers/{customer_id}/redemptions/{redemption_id}/cancellation/outcome")
    async def follow(visit: Canceller, customer_id: UUID, redemption_id: UUID) -> Response:
        """How a cancellation that was not decided at once stands now; asks again by itself until it is."""
        section = await load(redemption_of(visit).redemption(redemption_id))
        if section.refused is not None:
            return go_on(f"/customers/{customer_id}")
        found = section.content or {}
        return _outcome(visit, customer_id, redemption_id, _name_of(found), found)

    return router


def _may_still_cancel(section: Section) -> bool:
    found = section.content
    return bool(found) and bool(found.get("cancellable", found["state"] in MAY_STILL_CANCEL))


def _name_of(found: dict[str, Any]) -> str:
    """What to say of a cancellation by the state that its redemption is in now."""
    state = found.get("state", "cancelling")
    if state in ("cancelling", "accepted", "confirmed"):
        return "under_way"
    return "done" if state == "cancelled" else "late"


def _form(
    visit: Visit,
    customer_id: UUID,
    found: dict[str, Any] | None,
    *,
    key: str,
    reason: str = "",
    status: int = 200,
    problem: str | None = None,
) -> Response:
    text = say(visit.language, problem) if problem else None
    action = visit.request.url.path
    values: dict[str, Any] = {"customer_id": str(customer_id), "action": action, "key": key, "reason": reason}
    return show(visit, "customers/cancellation.html", status=status, found=found, problem=text, **values)


def _outcome(visit: Visit, customer_id: UUID, redemption_id: UUID, name: str, found: dict[str, Any]) -> Response:
    follow = f"/customers/{customer_id}/redemptions/{redemption_id}/cancellation/outcome"
    values: dict[str, Any] = {"customer_id": str(customer_id), "name": name, "found": found, "follow": follow}
    answer = show(visit, "customers/cancelled.html", seconds=LOOK_AGAIN_SECONDS, **values)
    if name == "under_way" and not visit.is_partial:
        answer.headers["Refresh"] = f"{LOOK_AGAIN_SECONDS}; url={follow}"
    return answer
