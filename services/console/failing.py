"""What an agent sees when something does not work: a sentence in their language and a way on, never a trace of the program."""

from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from services.console.answering import PART, WHOLE, render
from services.console.entrance import ForeignForm, NotSignedIn, RoleMissing, asked_by_itself, forget_session, language_of
from services.console.neighbours.calls import ServiceRefused, ServiceSilent, TokenRefused
from services.console.neighbours.identity import ProviderSilent
from services.console.words.book import say
from shared.telemetry import current_trace_id

log = structlog.get_logger()


def handle_failures(app: FastAPI) -> None:
    """Give every failure that can be foreseen its page."""
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(TokenRefused, _token_refused)
    app.add_exception_handler(RoleMissing, _role_missing)
    app.add_exception_handler(ForeignForm, _foreign_form)
    app.add_exception_handler(ProviderSilent, _provider_silent)
    app.add_exception_handler(ServiceSilent, _service_silent)
    app.add_exception_handler(ServiceRefused, _service_refused)
    app.add_exception_handler(RequestValidationError, _not_found)  # an address that is none: the ids in it are not ids
    app.add_exception_handler(HTTPException, _http_error)


def problem_page(request: Request, name: str, status: int, *, text: str | None = None, again: bool = False) -> Response:
    """The page for a problem of that name; `again` offers to ask for the same page once more."""
    language = language_of(request)
    key = f"problem.{name}"
    return render(
        request,
        getattr(request.state, "session", None),
        "problem.html",
        frame=PART if request.headers.get("hx-request") == "true" else WHOLE,
        status=status,
        title=say(language, f"{key}.title"),
        text=text or say(language, key, trace=current_trace_id()),
        again=request.url.path if again and request.method == "GET" else None,
        sign_in=status == 401,
    )


async def _not_signed_in(request: Request, _error: Exception) -> Response:
    """Readers are sent to sign in and come back; a form is not sent again by itself.

    A page that asks by itself goes to where one is after signing out: a provider that signs in silently would begin a new
    session with nobody there.
    """
    if asked_by_itself(request):
        forget_session(request)
        return Response(status_code=401, headers={"HX-Redirect": "/signed-out"})
    if request.headers.get("hx-request") == "true":  # the whole page goes, not a part of it
        here = urlsplit(request.headers.get("hx-current-url", "")).path
        return Response(status_code=401, headers={"HX-Redirect": _sign_in(here)})
    if request.method == "GET":
        return RedirectResponse(_sign_in(request.url.path), 303)
    return problem_page(request, "session", 401)


def _sign_in(following: str) -> str:
    return f"/sign-in?{urlencode({'next': following or '/'})}"


async def _token_refused(request: Request, _error: Exception) -> Response:
    """Not sent to sign in by itself: a provider that signs in silently would send them round and round."""
    forget_session(request)
    request.state.session = None
    return problem_page(request, "token", 401)


async def _role_missing(request: Request, _error: Exception) -> Response:
    return problem_page(request, "role", 403)


async def _foreign_form(request: Request, _error: Exception) -> Response:
    log.warning("foreign_form", path=request.url.path)
    return problem_page(request, "form", 403)


async def _provider_silent(request: Request, _error: Exception) -> Response:
    return problem_page(request, "provider", 503, again=True)


async def _service_silent(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceSilent)
    language = language_of(request)
    words = say(language, f"silent.{error.service}" if request.method == "GET" else error.outcome)
    return problem_page(request, "silent", 503, text=words, again=True)


async def _service_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceRefused)
    if error.status == 404:
        return problem_page(request, "not_found", 404)
    if error.status == 403 and error.code == "insufficient-scope":
        return problem_page(request, "role", 403)
    return problem_page(request, "refused", error.status, text=error.sentence or None)


async def _not_found(request: Request, _error: Exception) -> Response:
    return problem_page(request, "not_found", 404)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_page(request, "not_found" if error.status_code == 404 else "request", error.status_code)


async def show_unexpected(request: Request, error: Exception) -> Response:
    """The page for what nobody expected; what happened stands in the log."""
    log.error("page_failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return problem_page(request, "internal", 500, again=True)
