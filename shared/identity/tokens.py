"""Access tokens: checked once against the issuer's published keys, then remembered for at most a minute.

A check of a signature costs some hundred times more than a look into a dictionary, and an app sends the same token for every
request of a visit. The memory is bounded, forgets at the token's own end, and is emptied when the issuer changes its keys.
"""

import asyncio
import time
import warnings
from collections import OrderedDict
from typing import Any, Protocol

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from shared.identity.principal import Principal, principal_from
from shared.metrics import IDENTITY_KEYS
from shared.problems import InvalidToken, NeighbourUnavailable

ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "PS256"]
REMEMBERED_SECONDS_MAX = 60.0
REMEMBERED_TOKENS_MAX = 20_000
KEYS_FRESH_SECONDS = 300.0
KEYS_USABLE_SECONDS = 3600.0
KEYS_ASKED_AGAIN_SECONDS = 5.0
KEYS_WAITED_FOR_SECONDS = 2.0
CLOCK_SKEW_SECONDS = 30
LIFETIME_SECONDS_MAX = 600
TOKEN_CHARACTERS_MAX = 8192

log = structlog.get_logger()


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def fetch(self) -> dict[str, Any]:
        """The issuer's JWK set."""


class PublishedKeys:
    """The issuer's keys at their published address."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def fetch(self) -> dict[str, Any]:
        """Ask once; the caller decides how often."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(5.0, connect=1.0)) as client:
            answer = await client.get(self._url)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found


class TokenVerifier:
    """Turns the Authorization header into a principal."""

    def __init__(self, keys: KeySource, *, issuer: str, audience: str) -> None:
        """Keys are fetched at the first token."""
        self._source = keys
        self._issuer = issuer
        self._audience = audience
        self._keys: KeySet | None = None
        self._key_ids: frozenset[str] = frozenset()
        self._fetched_at = 0.0
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._remembered: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        IDENTITY_KEYS.set_function(lambda: len(self._key_ids) if self._keys_are_usable() else 0)

    async def verify(self, authorization: str | None) -> Principal:
        """The principal of a bearer token. Raises InvalidToken, or NeighbourUnavailable while no keys could be had yet."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS_MAX:
            raise InvalidToken
        known = self._remembered.get(token)
        if known is not None and known[0] > time.monotonic() and self._keys_are_fresh():
            return known[1]
        self._remembered.pop(token, None)
        claims = await self._checked_claims(token)
        try:
            principal = principal_from(claims)
        except (KeyError, TypeError, ValueError):
            raise InvalidToken from None
        keep = min(REMEMBERED_SECONDS_MAX, claims["exp"] - time.time())
        self._remembered[token] = (time.monotonic() + keep, principal)
        while len(self._remembered) > REMEMBERED_TOKENS_MAX:
            self._remembered.popitem(last=False)
        return principal

    async def has_keys(self) -> bool:
        """Whether tokens can be checked, now or in a moment: asks the issuer when no keys are there yet (G53)."""
        try:
            async with asyncio.timeout(KEYS_WAITED_FOR_SECONDS):
                await self._current_keys()
        except (NeighbourUnavailable, InvalidToken, TimeoutError):
            return False
        return True

    async def _checked_claims(self, token: str) -> dict[str, Any]:
        keys = await self._current_keys()
        try:
            claims = self._check(token, keys)
        except (JoseError, ValueError):
            keys = await self._current_keys(unknown_key=True)  # perhaps a key that was published a moment ago
            try:
                claims = self._check(token, keys)
            except (JoseError, ValueError):
                raise InvalidToken from None
        return claims

    def _check(self, token: str, keys: KeySet) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # `EdDSA` is the old name of Ed25519, which issuers still write
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        if claims["exp"] - claims["iat"] > LIFETIME_SECONDS_MAX:
            raise ValueError("a token that lives too long")
        return claims

    def _keys_are_fresh(self) -> bool:
        return self._keys is not None and time.monotonic() - self._fetched_at < KEYS_FRESH_SECONDS

    def _keys_are_usable(self) -> bool:
        return self._keys is not None and time.monotonic() - self._fetched_at < KEYS_USABLE_SECONDS

    async def _current_keys(self, *, unknown_key: bool = False) -> KeySet:
        """The keys, asked for again when they are old or when a token names another; old ones serve for an hour.

        One request asks for all of them; who can go on with the old keys does not wait for the answer.
        """
        wanted = unknown_key or not self._keys_are_fresh()
        if wanted and self._asking is None and time.monotonic() - self._asked_at > KEYS_ASKED_AGAIN_SECONDS:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._fetch())
        if self._asking is not None and (unknown_key or not self._keys_are_usable()):
            await asyncio.shield(self._asking)  # a caller who goes away does not stop it for the others
        if self._keys is None:
            raise NeighbourUnavailable  # nobody can say whether the token is good: that is no fault of the caller's
        if not self._keys_are_usable():
            raise InvalidToken
        return self._keys

    async def _fetch(self) -> None:
        try:
            document = await self._source.fetch()
            keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
            ids = frozenset(f"{key.kid} {key.thumbprint()}" for key in keys.keys)
        except Exception as error:  # noqa: BLE001 - whatever the other side sends, the keys that we have stay
            log.warning("keys_not_fetched", error=type(error).__name__)
            return
        finally:
            self._asking = None
        if ids != self._key_ids:
            self._remembered.clear()
        self._keys, self._key_ids, self._fetched_at = keys, ids, time.monotonic()
