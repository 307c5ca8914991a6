"""Who comes in: the session behind the cookie, prolonged where needed; the role that a page wants; and that a form is our own.

A route that does not say who may use it stops the start, as in every service.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute

from services.console.neighbours.identity import SignInEnded
from services.console.sessions import Session, SessionTooLarge
from shared.languages import LANGUAGES, Language, choose

if TYPE_CHECKING:
    from services.console.parts import Parts

LOCAL_PATH = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f]*")
"""Browsers take a second slash, or a backslash in its place, as the beginning of a host's name."""
FORM_BYTES_MAX = 16 * 1024
FORM_FIELDS_MAX = 20
LANGUAGE_COOKIE = "huangou_language"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
BY_ITSELF = "huangou-by-itself"
"""The header of what a page asks for without anybody's doing."""


class NotSignedIn(Exception):
    """Nobody is signed in, or not any more."""


class RoleMissing(Exception):
    """This page is not for any of the agent's roles."""


class ForeignForm(Exception):
    """A form that was not made by a page of this session."""


@dataclass
class Visit:
    """One request of one agent."""

    request: Request
    language: Language
    session: Session
    form: dict[str, str] = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether a part of a page is asked for, to be put into the one that is shown."""
        return self.request.headers.get("hx-request") == "true"


class Entrance:
    """A dependency that lets in agents with one of the roles, or anybody who is signed in when no role is named."""

    def __init__(self, roles: tuple[str, ...], *, by_itself: bool = False) -> None:
        self.roles, self._by_itself = roles, by_itself

    async def __call__(self, request: Request) -> Visit:
        """The visit. Raises NotSignedIn, RoleMissing, ForeignForm or ProviderSilent."""
        session = await self._session(request)
        form: dict[str, str] = {}
        if request.method != "GET":
            form = await read_form(request)
            if not _comes_from_here(request) or not session.owns_form(form.pop(FORM_TOKEN, "")):
                raise ForeignForm
        if self.roles and not session.has_role(*self.roles):
            raise RoleMissing
        return Visit(request, language_of(request), session, form)

    async def _session(self, request: Request) -> Session:
        parts: Parts = request.app.state.parts
        before = parts.sessions.open(request.cookies.get(session_cookie(parts)))
        if before is None:
            raise NotSignedIn
        request.state.session = before
        request.state.mark = before.mark
        try:
            after = await parts.renewals.renewed(before)
            if not self._by_itself and not asked_by_itself(request):  # what nobody did is no work: the idle time goes on
                after = parts.sessions.seen(after)
            if after is not before:
                set_cookie(request, session_cookie(parts), parts.sessions.seal(after))
                request.state.prolonged = after
        except (SignInEnded, SessionTooLarge):
            forget_session(request)
            raise NotSignedIn from None
        request.state.session = after
        return after


class Anyone:
    """A dependency that lets in everybody."""

    async def __call__(self) -> None:
        """Nothing to ask."""


def enter(*roles: str, by_itself: bool = False) -> Any:
    """Declare who may use a page: `visit: Annotated[Visit, enter("agent")]`; without roles everybody who is signed in.

    `by_itself` is for what browsers ask for without anybody's doing: it does not keep a session from ending.
    """
    return Depends(Entrance(roles, by_itself=by_itself))


def open_to_anyone() -> Any:
    """Declare a page open to everybody: `dependencies=[open_to_anyone()]`."""
    return Depends(Anyone())


def refuse_routes_without_entrance(app: FastAPI, elsewhere: frozenset[str]) -> None:
    """Stop the start when a route does not say who may use it. `elsewhere` are those that say it in another way."""
    silent = [
        str(getattr(route, "path", route))
        for route in app.routes
        if getattr(route, "path", None) not in elsewhere
        and not (
            isinstance(route, APIRoute) and any(isinstance(d.call, Entrance | Anyone) for d in route.dependant.dependencies)
        )
    ]
    if silent:
        raise RuntimeError(f"these routes do not say who may use them: {', '.join(silent)}")


def asked_by_itself(request: Request) -> bool:
    """Whether a page asks by itself, such as for a part that is missing."""
    return request.headers.get(BY_ITSELF) == "true"


def language_of(request: Request) -> Language:
    """The language that was chosen last, else what the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if chosen == language:
            return language
    return choose(request.headers.get("accept-language"))


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, trimmed; at most 16 KiB. Raises HTTPException 413 or 400."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES_MAX:
            raise HTTPException(413)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict")
    except ValueError:
        raise HTTPException(400) from None
    return {name: value.strip() for name, value in pairs}


def _comes_from_here(request: Request) -> bool:
    """Whether the browser says that a page of this origin sent this; one that says nothing at all is not believed."""
    parts: Parts = request.app.state.parts
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if origin is not None and origin != parts.settings.url:
        return False
    return site == "same-origin" if site is not None else origin is not None


def session_cookie(parts: "Parts") -> str:
    """The name of the session's cookie."""
    return _held_to_host(parts, "huangou")


def sign_in_cookie(parts: "Parts") -> str:
    """The name of the cookie for the way to the identity provider and back."""
    return _held_to_host(parts, "huangou_sign_in")


def _held_to_host(parts: "Parts", name: str) -> str:
    """Behind https browsers hold a cookie to this host and to encryption by its name."""
    return f"__Host-{name}" if parts.settings.is_secure else name


def set_cookie(request: Request, name: str, value: str, *, seconds: int | None = None, readable: bool = False) -> None:
    """Have a cookie set with whatever answer this request gets."""
    parts: Parts = request.app.state.parts
    attributes = ["Path=/", "SameSite=Lax"]
    attributes += [] if readable else ["HttpOnly"]
    attributes += ["Secure"] if parts.settings.is_secure else []
    attributes += [] if seconds is None else [f"Max-Age={seconds}"]
    request.state.cookies = {**getattr(request.state, "cookies", {}), name: "; ".join([f"{name}={value}", *attributes])}


def forget_session(request: Request) -> None:
    """Take the session's cookie away with the answer."""
    set_cookie(request, session_cookie(request.app.state.parts), "", seconds=0)
    request.state.prolonged = None


def end_session(request: Request, session: Session) -> None:
    """Sign out: this answer takes the cookie away, and those of other requests of the session leave cookies as they are."""
    parts: Parts = request.app.state.parts
    parts.sessions.end(session)
    forget_session(request)
    request.state.mark = None


def cookies_to_set(parts: "Parts", state: dict[str, Any]) -> list[str]:
    """What a request's answer sets, as its state tells when the answer starts.

    Meanwhile the session may have been signed out of: then its cookie is gone, or another session's by now. Or another request
    got newer tokens: then theirs stay.
    """
    cookies: dict[str, str] = dict(state.get("cookies", {}))
    mark, prolonged = state.get("mark"), state.get("prolonged")
    ended = mark is not None and parts.sessions.has_ended(mark)
    if ended or (prolonged is not None and parts.renewals.is_behind(prolonged)):
        cookies.pop(session_cookie(parts), None)
    return list(cookies.values())


def local_path(address: str | None) -> str:
    """An address to go on to, if it is one of ours; else the home page. Never another host."""
    return address if address and LOCAL_PATH.fullmatch(address) else "/"
