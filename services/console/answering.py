"""Answers of pages: a whole page or a part of one, a way on, and sections that may be missing."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from services.console.entrance import FORM_TOKEN, Visit, language_of
from services.console.neighbours.calls import Neighbour, ServiceRefused, ServiceSilent, Voice
from services.console.neighbours.fulfillment import Fulfillment
from services.console.neighbours.redemption import Redemption
from services.console.neighbours.tasks import Tasks
from services.console.rooms import rooms_of
from services.console.sessions import Session

if TYPE_CHECKING:
    from services.console.parts import Parts

WHOLE, PART = "frame.html", "part.html"


@dataclass(frozen=True)
class Section:
    """A piece of a page: what a service answered, or why it is not there."""

    content: Any = None
    silent: str | None = None
    """The service that does not answer."""
    refused: str | None = None
    """What the service said instead."""


async def load(work: Awaitable[Any]) -> Section:
    """Await a call for a section; TokenRefused goes on, since then nothing can be shown."""
    try:
        return Section(content=await work)
    except ServiceSilent as silence:
        return Section(silent=silence.service)
    except ServiceRefused as refusal:
        return Section(refused=refusal.sentence)


def show(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page, whole or as the part that goes into a page that is shown."""
    frame = PART if visit.is_partial else WHOLE
    return render(visit.request, visit.session, template, frame=frame, status=status, **values)


def render(request: Request, session: Session | None, template: str, *, frame: str, status: int, **values: Any) -> Response:
    """A page for somebody who may not be signed in."""
    parts: Parts = request.app.state.parts
    text = parts.pages.render(
        template,
        language_of(request),
        frame=frame,
        session=session,
        rooms=rooms_of(session) if session else [],
        path=request.url.path,
        here=request.url.path if request.method == "GET" else "/",
        form_token_name=FORM_TOKEN,
        **values,
    )
    return HTMLResponse(text, status)


def go_on(address: str) -> Response:
    """After a form: the page to look at, so that a reload sends nothing again."""
    return RedirectResponse(address, 303)


def redemption_of(visit: Visit) -> Redemption:
    """Redemption in this agent's name."""
    return Redemption(_voice(visit, "redemption"))


def fulfillment_of(visit: Visit) -> Fulfillment:
    """Fulfillment in this agent's name."""
    return Fulfillment(_voice(visit, "fulfillment"))


def tasks_of(visit: Visit, service: str) -> Tasks:
    """A service's tasks in this agent's name. Raises KeyError for no service of ours."""
    return Tasks(_voice(visit, service))


def _voice(visit: Visit, service: str) -> Voice:
    parts: Parts = visit.request.app.state.parts
    neighbour: Neighbour = parts.neighbours[service]
    return neighbour.speaking_for(visit.session, visit.language)
