"""The provider's HTTP side: discovery, keys, authorization code with PKCE, refresh, client credentials, userinfo, sign-out."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc.errors import JoseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.sandbox.identity.clients import CODE, CREDENTIALS, REFRESH, Client, find_client, knows_secret
from deploy.sandbox.identity.codes import CHALLENGE, Asked, Codes
from deploy.sandbox.identity.pages import STYLE, message_page, sign_in_page
from deploy.sandbox.identity.people import Person, find_person
from deploy.sandbox.identity.refreshing import RefreshTokens
from deploy.sandbox.identity.settings import IdentitySettings
from deploy.sandbox.identity.tokens import ALGORITHM, Signer
from shared.settings import load

BODY_BYTES_MAX = 16 * 1024
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
ASKED_FIELDS = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
)  # fmt: skip


class Refusal(Exception):
    """An OAuth error; the message is its code (RFC 6749 5.2)."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Provider:
    """The routes and what they share: settings, key, open codes, sign-ins that can be prolonged."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.settings = settings
        self.signer = Signer(settings.signing_key, settings.issuer, audience=settings.audience, seconds=settings.token_seconds)
        self.codes = Codes()
        self.refresh_tokens = RefreshTokens()

    async def discovery(self, _request: Request) -> Response:
        """OpenID Connect Discovery 1.0."""
        issuer = self.settings.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "end_session_endpoint": f"{issuer}/end-session",
                "revocation_endpoint": f"{issuer}/revoke",
                "jwks_uri": f"{issuer}/jwks",
                "response_types_supported": ["code"],
                "grant_types_supported": [CODE, REFRESH, CREDENTIALS],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
                "authorization_response_iss_parameter_supported": True,
                "service_documentation": "A sandbox: it proves nobody's identity.",
            }
        )

    async def keys(self, _request: Request) -> Response:
        """The published keys."""
        return JSONResponse(self.signer.key_set())

    async def authorize(self, request: Request) -> Response:
        """GET shows whom one can be; POST signs that person in and sends the code back."""
        given = dict(request.query_params) if request.method == "GET" else await _form(request)
        client = find_client(given.get("client_id", ""))
        address = given.get("redirect_uri", "")
        # nothing is sent to an address before it is known to be the client's
        if client is None or not client.signs_in or not client.may_return_to(address):
            return message_page("未知的客户端或回调地址。", "Unknown client or redirect address.", 400)
        try:
            asked = _asked(given)
            if request.method == "GET":
                return sign_in_page(client, {key: given[key] for key in ASKED_FIELDS if key in given})
            person = find_person(given.get("subject", ""))
            if person is None or not client.serves(person):
                raise Refusal("access_denied")
            answer = {"code": self.codes.give(asked, person)}
        except Refusal as refusal:
            answer = {"error": refusal.code}
        answer |= {"iss": self.settings.issuer} | ({"state": given["state"]} if "state" in given else {})
        mark = "&" if urlsplit(address).query else "?"
        return RedirectResponse(f"{address}{mark}{urlencode(answer)}", 303, NO_STORE)

    async def token(self, request: Request) -> Response:
        """Exchange a code, prolong a sign-in, or give a program a token of its own."""
        form = await _form(request)
        client = self._authenticated(request, form)
        ways = {CODE: self._exchange, REFRESH: self._refresh, CREDENTIALS: self._own_token}
        way = ways.get(form.get("grant_type", ""))
        if way is None:
            raise Refusal("unsupported_grant_type")
        if form["grant_type"] != client.grant and not (form["grant_type"] == REFRESH and client.refreshes):
            raise Refusal("unauthorized_client")
        body = way(client, form)
        return JSONResponse({"token_type": "Bearer", "expires_in": self.settings.token_seconds, **body}, 200, NO_STORE)

    async def revoke(self, request: Request) -> Response:
        """End a sign-in by its refresh token; says the same whether there was one (RFC 7009)."""
        form = await _form(request)
        client = self._authenticated(request, form)
        self.refresh_tokens.revoke(form.get("token", ""), client.id)
        return Response(status_code=200, headers=NO_STORE)

    async def userinfo(self, request: Request) -> Response:
        """The claims about whoever the token speaks for."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise ValueError("no bearer token")
            claims = self.signer.read(token)
        except (JoseError, ValueError):
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        about = ("sub", "kind", "name", "roles", "branch", "person", "merchant", "terminal")
        return JSONResponse({key: claims[key] for key in about if key in claims}, 200, NO_STORE)

    async def end_session(self, request: Request) -> Response:
        """Nothing is remembered between two sign-ins, so there is nothing to end; goes back where the client may go."""
        given = dict(request.query_params) if request.method == "GET" else await _form(request)
        client = find_client(given.get("client_id", ""))
        address = given.get("post_logout_redirect_uri", "")
        if client and client.signs_in and client.may_return_to(address):
            state = {"state": given["state"]} if "state" in given else {}
            mark = "&" if urlsplit(address).query else "?"
            return RedirectResponse(address + (f"{mark}{urlencode(state)}" if state else ""), 303)
        return message_page("您已退出登录。", "You are signed out.")

    async def style(self, _request: Request) -> Response:
        """How the pages look; a file of its own, since they allow no style inside them."""
        return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    async def livez(self, _request: Request) -> Response:
        """Alive."""
        return JSONResponse({"status": "alive"})

    def _authenticated(self, request: Request, form: Mapping[str, str]) -> Client:
        client_id, secret = _credentials(request, form)
        client = find_client(client_id)
        if (
            client is None
            or (client.public and secret)
            or (not client.public and not knows_secret(client, secret, self.settings))
        ):
            raise Refusal("invalid_client", 401)
        return client

    def _exchange(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        taken = self.codes.take(form.get("code", ""), client.id, form.get("redirect_uri", ""), form.get("code_verifier", ""))
        if taken is None:
            raise Refusal("invalid_grant")
        asked, person = taken
        scopes = client.granted(asked.scope)
        body = self._tokens(client, scopes, person, asked.nonce)
        return body | ({"refresh_token": self.refresh_tokens.begin(client.id, person, scopes)} if client.refreshes else {})

    def _refresh(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        taken = self.refresh_tokens.take(form.get("refresh_token", ""), client.id)
        if taken is None:
            raise Refusal("invalid_grant")
        sign_in, token = taken
        return {**self._tokens(client, sign_in.scopes, sign_in.person), "refresh_token": token}

    def _tokens(self, client: Client, scopes: tuple[str, ...], person: Person, nonce: str | None = None) -> dict[str, Any]:
        body = {"access_token": self.signer.access_token(client, scopes, person), "scope": " ".join(scopes)}
        return body | ({"id_token": self.signer.id_token(client, person, nonce)} if "openid" in scopes else {})

    def _own_token(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        scopes = client.granted(form.get("scope", ""))
        if not scopes:
            raise Refusal("invalid_scope")
        return {"access_token": self.signer.access_token(client, scopes), "scope": " ".join(scopes)}


def build(settings: IdentitySettings) -> Starlette:
    """The provider as an ASGI application; it answers to names of its own only (no DNS rebinding)."""
    provider = Provider(settings)
    routes = [
        Route("/.well-known/openid-configuration", provider.discovery),
        Route("/jwks", provider.keys),
        Route("/authorize", provider.authorize, methods=["GET", "POST"]),
        Route("/token", provider.token, methods=["POST"]),
        Route("/revoke", provider.revoke, methods=["POST"]),
        Route("/userinfo", provider.userinfo),
        Route("/end-session", provider.end_session, methods=["GET", "POST"]),
        Route("/style.css", provider.style),
        Route("/livez", provider.livez),
    ]
    hosts = [urlsplit(settings.issuer).hostname or "", "127.0.0.1", "localhost", *settings.hosts]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    return Starlette(routes=routes, middleware=[guard], exception_handlers={Refusal: _refuse})


def create() -> Starlette:
    """The provider as the environment describes it."""
    return build(load(IdentitySettings))


async def _refuse(_request: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refusal) else Refusal("server_error", 500)
    headers = NO_STORE | ({"WWW-Authenticate": "Basic"} if refusal.status == 401 else {})
    return JSONResponse({"error": refusal.code}, refusal.status, headers)


def _asked(given: Mapping[str, str]) -> Asked:
    if given.get("response_type") != "code":
        raise Refusal("unsupported_response_type")
    if given.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(given.get("code_challenge", "")):
        raise Refusal("invalid_request")
    return Asked(given["client_id"], given["redirect_uri"], given.get("scope", ""), given["code_challenge"], given.get("nonce"))


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal("invalid_request", 413)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise Refusal("invalid_request") from error


def _credentials(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Client id and secret from the Basic header or the form (RFC 6749 2.3.1)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, colon, secret = base64.b64decode(value, validate=True).decode().rpartition(":")  # a till's id has colons
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal("invalid_client", 401) from error
    if not colon:
        raise Refusal("invalid_client", 401)
    return unquote_plus(client_id), unquote_plus(secret)
