"""Signing in at the bank's identity provider, and out here and there; the choice of language."""

import hmac
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.console.answering import WHOLE, render
from services.console.entrance import (
    LANGUAGE_COOKIE,
    Visit,
    end_session,
    enter,
    language_of,
    local_path,
    open_to_anyone,
    session_cookie,
    set_cookie,
    sign_in_cookie,
)
from services.console.failing import problem_page
from services.console.neighbours.identity import Secrets, SignInFailed, Tokens
from services.console.sessions import Session, SessionTooLarge, SignIn
from services.console.words.book import say
from shared.languages import BCP47, LANGUAGES

if TYPE_CHECKING:
    from services.console.parts import Parts

LANGUAGE_SECONDS = 365 * 86_400

log = structlog.get_logger()


def sign_in_router(parts: "Parts") -> APIRouter:
    """The routes of signing in."""
    router = APIRouter()

    @router.get("/sign-in", dependencies=[open_to_anyone()])
    async def sign_in(request: Request) -> Response:
        """Send the browser to the identity provider; what must come back travels in a sealed cookie of ten minutes."""
        secrets = Secrets.new()
        following = local_path(request.query_params.get("next"))
        under_way = SignIn(**asdict(secrets), following=following, began_at=parts.sessions.now())
        set_cookie(request, sign_in_cookie(parts), parts.sessions.seal_sign_in(under_way), seconds=600)
        address = parts.provider.sign_in_address(secrets, BCP47[language_of(request)])
        return RedirectResponse(address, 303)

    @router.get("/sign-in/callback", dependencies=[open_to_anyone()])
    async def come_back(request: Request) -> Response:
        """Back from the identity provider with a code, once, in the browser that set out."""
        given = request.query_params
        under_way = parts.sessions.open_sign_in(request.cookies.get(sign_in_cookie(parts)))
        set_cookie(request, sign_in_cookie(parts), "", seconds=0)
        if under_way is None or not hmac.compare_digest(under_way.state.encode(), given.get("state", "").encode()):
            return _failed(request, "state")
        if given.get("iss", parts.settings.issuer) != parts.settings.issuer or "code" not in given:
            return _failed(request, "failed")
        secrets = Secrets(under_way.state, under_way.nonce, under_way.verifier)
        try:
            tokens, claims = await parts.provider.exchange(given["code"], secrets)
        except SignInFailed as error:
            log.warning("sign_in_failed", reason=str(error))
            return _failed(request, "failed")
        if claims.get("kind") != "staff":
            return _failed(request, "not_staff")
        try:
            set_cookie(request, session_cookie(parts), parts.sessions.seal(_session(parts, tokens, claims)))
        except SessionTooLarge:
            return _failed(request, "too_large")
        return RedirectResponse(under_way.following, 303)

    return router


def sign_out_router(parts: "Parts") -> APIRouter:
    """The routes of signing out, and of the choice that needs nobody signed in."""
    router = APIRouter()

    @router.post("/sign-out")
    async def sign_out(request: Request, visit: Annotated[Visit, enter()]) -> Response:
        """Out here at once, whatever the provider says; and out there."""
        end_session(request, visit.session)
        if visit.session.refresh_token is not None:
            await parts.provider.revoke(visit.session.refresh_token)
        return RedirectResponse(parts.provider.sign_out_address() or "/signed-out", 303)

    @router.get("/signed-out", dependencies=[open_to_anyone()])
    async def signed_out(request: Request) -> Response:
        """Where one is after signing out."""
        return render(request, None, "signed_out.html", frame=WHOLE, status=200)

    @router.get("/language/{chosen}", dependencies=[open_to_anyone()])
    async def choose_language(request: Request, chosen: str) -> Response:
        """Remember a language for a year in a cookie; nothing of anybody changes by it."""
        if chosen in LANGUAGES:
            set_cookie(request, LANGUAGE_COOKIE, chosen, seconds=LANGUAGE_SECONDS)
        return RedirectResponse(local_path(request.query_params.get("next")), 303)

    return router


def _session(parts: "Parts", tokens: Tokens, claims: dict[str, Any]) -> Session:
    now = parts.sessions.now()
    subject = str(claims["sub"])
    return Session(
        subject=subject,
        person=str(claims.get("person") or subject),
        name=str(claims.get("name") or subject)[:80],
        roles=tuple(str(role) for role in claims.get("roles", ()))[:20],
        branch=claims.get("branch"),
        access_token=tokens.access_token,
        access_until=tokens.access_until,
        refresh_token=tokens.refresh_token,
        mark=parts.sessions.new_mark(),
        began_at=now,
        seen_at=now,
    )


def _failed(request: Request, why: str) -> Response:
    text = say(language_of(request), f"problem.sign_in.{why}")
    return problem_page(request, "sign_in", 401, text=text)
