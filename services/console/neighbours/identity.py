"""The bank's identity provider: authorization code with PKCE, state and nonce, refresh, revocation (OpenID Connect)."""

import base64
import hashlib
import hmac
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from services.console.settings import Settings
from shared.identity import KeySource
from shared.identity.tokens import ALGORITHMS, CLOCK_SKEW_SECONDS

CALL_SECONDS_MAX = 5.0

log = structlog.get_logger()


class SignInFailed(Exception):
    """The identity provider did not say who this is, or not in a way that can be believed."""


class ProviderSilent(Exception):
    """The identity provider does not answer."""


class SignInEnded(Exception):
    """The identity provider does not prolong this sign-in."""


@dataclass(frozen=True)
class Tokens:
    """What the provider gave: two tokens, and until when the first is good (seconds since 1970)."""

    access_token: str
    access_until: float
    refresh_token: str | None


@dataclass(frozen=True)
class Secrets:
    """What a sign-in is held together by."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Secrets":
        """Fresh ones."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")


class Provider:
    """One client's view of it."""

    def __init__(
        self, settings: Settings, keys: KeySource, client: httpx.AsyncClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Asks nothing yet."""
        self._settings, self._source, self._client, self._clock = settings, keys, client, clock
        self._keys: KeySet | None = None

    @property
    def return_address(self) -> str:
        """Where the browser comes back to with the code; registered at the provider."""
        return f"{self._settings.url}/sign-in/callback"

    def sign_in_address(self, sign_in: Secrets, language: str) -> str:
        """Where to send the browser."""
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self.return_address,
            "scope": self._settings.scope,
            "state": sign_in.state,
            "nonce": sign_in.nonce,
            "code_challenge": sign_in.challenge,
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        return f"{self._settings.authorize_url}?{urlencode(asked)}"

    def sign_out_address(self) -> str | None:
        """Where to send the browser to sign out there too (RP-Initiated Logout 1.0); None when there is no such place."""
        if self._settings.end_session_url is None:
            return None
        asked = {"client_id": self._settings.client_id, "post_logout_redirect_uri": f"{self._settings.url}/signed-out"}
        return f"{self._settings.end_session_url}?{urlencode(asked)}"

    async def exchange(self, code: str, sign_in: Secrets) -> tuple[Tokens, dict[str, Any]]:
        """Tokens for a code, and the verified claims about who signed in. Raises SignInFailed or ProviderSilent."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.return_address,
            "code_verifier": sign_in.verifier,
        }
        found = await self._ask(form)
        claims = await self._verified(str(found.get("id_token", "")))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), sign_in.nonce.encode()):
            raise SignInFailed("the nonce is another one")
        return self._tokens(found), claims

    async def refresh(self, token: str) -> Tokens:
        """New tokens for a refresh token. Raises SignInEnded or ProviderSilent."""
        try:
            found = self._tokens(await self._ask({"grant_type": "refresh_token", "refresh_token": token}))
        except SignInFailed:
            raise SignInEnded from None
        return found if found.refresh_token else Tokens(found.access_token, found.access_until, token)

    async def revoke(self, token: str) -> None:
        """End the sign-in at the provider (RFC 7009), as far as it answers."""
        if self._settings.revoke_url is None:
            return
        form = {"token": token, "token_type_hint": "refresh_token"}
        try:
            await self._client.post(self._settings.revoke_url, data=form, auth=self._credentials(), timeout=CALL_SECONDS_MAX)
        except httpx.HTTPError as error:
            log.warning("sign_in_not_revoked", error=type(error).__name__)

    async def _ask(self, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = await self._client.post(
                self._settings.token_url, data=dict(form), auth=self._credentials(), timeout=CALL_SECONDS_MAX
            )
        except httpx.HTTPError as error:
            raise ProviderSilent from error
        if answer.status_code >= 500:
            raise ProviderSilent
        try:
            found = answer.json()
        except ValueError:
            raise ProviderSilent from None
        if answer.status_code != 200 or not isinstance(found, dict):
            raise SignInFailed(str(found.get("error", "")) if isinstance(found, dict) else "")
        return found

    def _tokens(self, found: Mapping[str, Any]) -> Tokens:
        try:
            until = self._clock() + float(found["expires_in"])
            return Tokens(str(found["access_token"]), until, found.get("refresh_token"))
        except (KeyError, TypeError, ValueError):
            raise SignInFailed("no access token") from None

    async def _verified(self, id_token: str) -> dict[str, Any]:
        """The claims of an id token of this provider for this client. Raises SignInFailed or ProviderSilent."""
        try:
            return self._checked(id_token, await self._current_keys())
        except (JoseError, ValueError):
            pass  # perhaps signed by a key that was published a moment ago
        try:
            return self._checked(id_token, await self._current_keys(again=True))
        except (JoseError, ValueError) as error:
            raise SignInFailed(f"the id token cannot be believed: {type(error).__name__}") from None

    def _checked(self, id_token: str, keys: KeySet) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # `EdDSA` is the old name of Ed25519, which issuers still write
            claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
        client_id = self._settings.client_id
        jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        if claims.get("azp", client_id) != client_id or (isinstance(claims["aud"], list) and len(claims["aud"]) > 1):
            raise ValueError("made for somebody else")
        return claims

    async def _current_keys(self, *, again: bool = False) -> KeySet:
        if self._keys is None or again:
            try:
                self._keys = KeySet.import_key_set(await self._source.fetch())  # type: ignore[arg-type]
            except Exception as error:
                raise ProviderSilent from error
        return self._keys

    def _credentials(self) -> tuple[str, str]:
        """Basic authentication, form-encoded first (RFC 6749 2.3.1)."""
        return quote_plus(self._settings.client_id), quote_plus(self._settings.client_secret.get_secret_value())
