"""What holds for every answer of the console: one host, no foreign content, no frame, nothing kept, and the cookies to set."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.settings import Settings

FOR_MACHINES = frozenset({"/livez", "/readyz", "/metrics"})


class Guard:
    """An ASGI layer around the application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        when_failed: Callable[[Request, Exception], Awaitable[Response]],
        cookies_to_set: Callable[[dict[str, Any]], list[str]],
    ) -> None:
        """`when_failed` makes the page for an error that nobody expected; made further out it would go without all this.
        `cookies_to_set` tells them by a request's state, at the moment when its answer starts."""
        self._app, self._settings, self._when_failed, self._cookies_to_set = app, settings, when_failed, cookies_to_set
        self._netloc = urlsplit(settings.url).netloc
        self._headers = _security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        begun = False

        async def complete(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                for cookie in self._cookies_to_set(state):
                    headers.append("Set-Cookie", cookie)
            await send(message)

        if scope["path"] not in FOR_MACHINES and Headers(scope=scope).get("host") != self._netloc:
            await self._elsewhere(scope)(scope, receive, complete)
            return
        try:
            await self._app(scope, receive, complete)
        except Exception as error:
            if begun:
                raise
            await (await self._when_failed(Request(scope, receive), error))(scope, receive, complete)

    def _elsewhere(self, scope: Scope) -> Response:
        """Asked under another name: cookies and forms belong to one, so readers are sent there and writers are refused."""
        if scope["method"] == "GET":
            return RedirectResponse(self._settings.url, 307)
        return PlainTextResponse("Misdirected request\n", 421)


def _security_headers(settings: Settings) -> dict[str, str]:
    # Signing out posts to the console and is then sent on to the provider, which Chromium counts as the form's way.
    provider = urlsplit(settings.end_session_url or settings.authorize_url)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action 'self' {provider.scheme}://{provider.netloc}; frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if settings.is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
