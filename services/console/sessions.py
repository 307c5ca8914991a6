"""Sessions: an encrypted cookie with the agent's tokens, which ends when nobody works with it and at the latest after hours.

The console keeps nothing about anybody: what it knows of a session stands in the browser, sealed by AES-GCM. Signing out takes
the cookie away, ends the sign-in at the identity provider, and leaves the session's mark here in memory, so that neither a page
that answers late nor a cookie that was copied before brings it back. After a restart, or at another console, a copied cookie
lasts no longer than its access token and its idle time.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared.secrets import Unreadable, Vault

SESSION_PLACE, SIGN_IN_PLACE = "console.session", "console.sign_in"
COOKIE_BYTES_MAX = 3800
"""Browsers keep 4096 bytes with the name and the attributes."""
SEEN_AGAIN_SECONDS = 60.0
"""How much older the last visit may look than it is; a new cookie with every answer would be waste."""
SIGN_IN_SECONDS_MAX = 600.0

Clock = Callable[[], float]


class SessionTooLarge(Exception):
    """The tokens of this sign-in do not fit into a cookie."""


@dataclass(frozen=True)
class Session:
    """An agent who signed in. Instants are seconds since 1970."""

    subject: str
    person: str
    name: str
    roles: tuple[str, ...]
    branch: str | None
    access_token: str
    access_until: float
    refresh_token: str | None
    mark: str
    """Random; what forms prove that they come from this session's pages."""
    began_at: float
    seen_at: float

    def has_role(self, *roles: str) -> bool:
        """Whether this agent has any of the roles."""
        return any(role in self.roles for role in roles)

    @property
    def form_token(self) -> str:
        """What every form of this session's pages carries."""
        return hmac.new(self.mark.encode(), b"form", hashlib.sha256).hexdigest()

    @property
    def handle(self) -> str:
        """What every cookie of this session begins with, so that a balancer keeps it at one console; it tells nothing."""
        return hmac.new(self.mark.encode(), b"handle", hashlib.sha256).hexdigest()[:16]

    def owns_form(self, token: str) -> bool:
        """Whether a form was made for this session; compared in constant time."""
        return hmac.compare_digest(self.form_token.encode(), token.encode())


@dataclass(frozen=True)
class SignIn:
    """A sign-in under way: what must come back, and where to go then."""

    state: str
    nonce: str
    verifier: str
    following: str
    began_at: float


class Sessions:
    """Seals and opens the two cookies."""

    def __init__(self, keys: Sequence[bytes], *, idle_seconds: float, seconds_max: float, clock: Clock = time.time) -> None:
        """The first key seals; all of them open."""
        self._vault = Vault({hashlib.sha256(key).hexdigest()[:8]: key for key in keys})
        self._idle_seconds, self._seconds_max, self._clock = idle_seconds, seconds_max, clock
        self._ended: dict[str, float] = {}

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def new_mark(self) -> str:
        """The random part of a new session."""
        return secrets.token_urlsafe(18)

    def seal(self, session: Session) -> str:
        """The cookie's value. Raises SessionTooLarge."""
        value = f"{session.handle}.{self._sealed(SESSION_PLACE, asdict(session))}"
        if len(value) > COOKIE_BYTES_MAX:
            raise SessionTooLarge
        return value

    def open(self, value: str | None) -> Session | None:
        """The session of a cookie; None when there is none, it was changed, made by another release, or it is over."""
        handle, _, sealed = (value or "").partition(".")
        found = self._opened(SESSION_PLACE, sealed)
        now = self.now()
        try:
            session = Session(**{**found, "roles": tuple(found["roles"])})
            over = now - session.seen_at > self._idle_seconds or now - session.began_at > self._seconds_max
            elsewhere = handle != session.handle  # somebody wants it opened where it is not known that it was signed out of
        except (TypeError, KeyError, AttributeError):
            return None
        return None if over or elsewhere or self.has_ended(session.mark) else session

    def end(self, session: Session) -> None:
        """Open no cookie of this session any more, until none of them could be good for anything."""
        now = self.now()
        self._ended = {mark: until for mark, until in self._ended.items() if until >= now}
        self._ended[session.mark] = session.began_at + self._seconds_max

    def has_ended(self, mark: str) -> bool:
        """Whether the session with this mark was signed out of here."""
        return mark in self._ended

    def seen(self, session: Session) -> Session:
        """The session as of now; the same one when it was seen a moment ago."""
        now = self.now()
        return replace(session, seen_at=now) if now - session.seen_at > SEEN_AGAIN_SECONDS else session

    def seal_sign_in(self, sign_in: SignIn) -> str:
        """The cookie's value for the way to the identity provider and back."""
        return self._sealed(SIGN_IN_PLACE, asdict(sign_in))

    def open_sign_in(self, value: str | None) -> SignIn | None:
        """The sign-in under way; None when there is none or it took longer than ten minutes."""
        found = self._opened(SIGN_IN_PLACE, value)
        try:
            sign_in = SignIn(**found)
            return sign_in if self.now() - sign_in.began_at <= SIGN_IN_SECONDS_MAX else None
        except TypeError:
            return None

    def _sealed(self, place: str, content: dict[str, Any]) -> str:
        plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._vault.seal(plain, place)).decode().rstrip("=")

    def _opened(self, place: str, value: str | None) -> Any:
        if not value or len(value) > COOKIE_BYTES_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            return json.loads(self._vault.open(sealed, place))
        except (ValueError, Unreadable):
            return None
