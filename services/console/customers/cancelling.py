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
ACCEPTED = 202
NOT_GONE_YET = "preparing"
UNDECIDED = frozenset({"accepted", "confirmed", "cancelling"})
Reader = Annotated[Visit, enter(*FINDING)]
Canceller = Annotated[Visit, enter(*CANCELLING)]
Follower = Annotated[Visit, enter(*CANCELLING, by_itself=True)]


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
        if not found["cancellable"]:
            name, points = how_it_ended(found)
            return _outcome(visit, customer_id, redemption_id, name, found, points)
        return _form(visit, customer_id, found, key=str(new_id()))

    @router.post("/customers/{customer_id}/redemptions/{redemption_id}/cancellation")
    async def cancel(visit: Canceller, customer_id: UUID, redemption_id: UUID) -> Response:
        """Ask for it, and show what became of it. When nobody answers, the same form can be sent again."""
        redemption = redemption_of(visit)
        key, reason = _key_of(visit), visit.form.get("reason", "")[:REASON_CHARACTERS_MAX]
        if not reason:
            found = await redemption.redemption(redemption_id)
            return _form(visit, customer_id, found, key=key, status=422, problem="reason.missing")
        try:
            status, found = await redemption.cancel(redemption_id, reason, key)
        except ServiceRefused as refusal:
            if refusal.code != "too-late-to-cancel":
                raise
            return _outcome(visit, customer_id, redemption_id, "late")
        except ServiceSilent as silence:
            return _form(visit, customer_id, None, key=key, reason=reason, status=503, problem=silence.outcome)
        name, points = how_it_ended(found)
        return _outcome(visit, customer_id, redemption_id, "under_way" if status == ACCEPTED else name, found, points)

    _following_route(router)
    return router


def _following_route(router: APIRouter) -> None:
    @router.get("/customers/{customer_id}/redemptions/{redemption_id}/cancellation/outcome")
    async def follow(visit: Follower, customer_id: UUID, redemption_id: UUID) -> Response:
        """How a cancellation that was not decided at once stands now; asks again by itself until it is."""
        section = await load(redemption_of(visit).redemption(redemption_id))
        if section.refused is not None:
            return go_on(f"/customers/{customer_id}")
        if section.content is None:  # nobody answers now
            return _outcome(visit, customer_id, redemption_id, "under_way")
        name, points = how_it_ended(section.content)
        return _outcome(visit, customer_id, redemption_id, name, section.content, points)


def _key_of(visit: Visit) -> str:
    """The form's key, which becomes a header; for anything but an id a new one."""
    try:
        return str(UUID(visit.form.get("key", "")))
    except ValueError:
        return str(new_id())


def _may_still_cancel(section: Section) -> bool:
    return bool(section.content) and bool(section.content["cancellable"])


def what_comes_back(found: dict[str, Any]) -> dict[str, Any]:
    """Which lines a cancellation would bring back, as things stand, and their points; and which have gone out already."""
    parts = (found.get("delivery") or {}).get("parts") or []
    gone = {number for part in parts if part["state"] != NOT_GONE_YET for number in part["lines"]}
    back = [line for line in found["lines"] if line["number"] not in gone]
    stays = [line for line in found["lines"] if line["number"] in gone]
    return {"back": back, "stays": stays, "points": sum(line["points"] for line in back)}


def how_it_ended(found: dict[str, Any]) -> tuple[str, int]:
    """What to say of a cancellation by what the redemption is now, and the points that went back for it."""
    points = sum(
        each["points"] for each in found.get("returns", []) if each["kind"] == "cancellation" and each["state"] == "refunded"
    )
    if found["state"] == "cancelled":
        return "done", points or found["price_points"]
    if found["state"] in UNDECIDED:
        return "under_way", 0
    return ("partly", points) if points else ("late", 0)


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
    wish = what_comes_back(found) if found else None
    values: dict[str, Any] = {"customer_id": str(customer_id), "action": visit.request.url.path, "key": key, "reason": reason}
    return show(visit, "customers/cancellation.html", status=status, wish=wish, problem=text, **values)


def _outcome(
    visit: Visit,
    customer_id: UUID,
    redemption_id: UUID,
    name: str,
    found: dict[str, Any] | None = None,
    points: int = 0,
) -> Response:
    follow = f"/customers/{customer_id}/redemptions/{redemption_id}/cancellation/outcome"
    values: dict[str, Any] = {"customer_id": str(customer_id), "name": name, "found": found, "points": points, "follow": follow}
    answer = show(visit, "customers/cancelled.html", seconds=LOOK_AGAIN_SECONDS, **values)
    if name == "under_way" and not visit.is_partial:
        answer.headers["Refresh"] = f"{LOOK_AGAIN_SECONDS}; url={follow}"
    return answer
