"""Refresh tokens: kept in memory, each good once; whoever shows a used one ends the whole sign-in it belongs to (RFC 9700)."""

import hashlib
import secrets
import time
from dataclasses import dataclass

from deploy.sandbox.identity.people import Person

SIGN_IN_SECONDS = 12 * 3600.0
SIGN_INS_MAX = 10_000


@dataclass(frozen=True)
class SignIn:
    """A person who signed in with a program, and until when that can be prolonged."""

    client_id: str
    person: Person
    scopes: tuple[str, ...]
    until: float


class RefreshTokens:
    """What was given out, by the hash of the token; a used one is remembered as long as its sign-in."""

    def __init__(self) -> None:
        self._sign_ins: dict[str, SignIn] = {}
        self._current: dict[str, str] = {}
        self._family: dict[str, str] = {}

    def begin(self, client_id: str, person: Person, scopes: tuple[str, ...]) -> str:
        """The first token of a new sign-in; the oldest sign-ins make room."""
        self._sweep()
        family = secrets.token_urlsafe(12)
        self._sign_ins[family] = SignIn(client_id, person, scopes, time.monotonic() + SIGN_IN_SECONDS)
        return self._next(family)

    def take(self, token: str, client_id: str) -> tuple[SignIn, str] | None:
        """Exchange a token for the sign-in and the next token. A used one, or one of another program, ends the sign-in."""
        name = _hashed(token)
        family = self._family.get(name, "")
        found = self._sign_ins.get(family)
        if found is None:
            return None
        if self._current[family] != name or found.client_id != client_id or found.until < time.monotonic():
            self._end(family)
            return None
        return found, self._next(family)

    def revoke(self, token: str, client_id: str) -> None:
        """End the sign-in that a token belongs to, used or not (RFC 7009)."""
        family = self._family.get(_hashed(token), "")
        found = self._sign_ins.get(family)
        if found is not None and found.client_id == client_id:
            self._end(family)

    def _next(self, family: str) -> str:
        token = secrets.token_urlsafe(32)
        self._current[family] = _hashed(token)
        self._family[_hashed(token)] = family
        return token

    def _end(self, family: str) -> None:
        del self._sign_ins[family]
        del self._current[family]
        self._family = {name: of for name, of in self._family.items() if of != family}

    def _sweep(self) -> None:
        now = time.monotonic()
        for family in [name for name, found in self._sign_ins.items() if found.until < now]:
            self._end(family)
        while len(self._sign_ins) >= SIGN_INS_MAX:
            self._end(next(iter(self._sign_ins)))


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
