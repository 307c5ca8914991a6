"""Authorization codes: kept in memory, good once and for a minute, bound to client, address and PKCE challenge."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from deploy.sandbox.identity.people import Person

CODE_SECONDS = 60.0
CODES_MAX = 10_000
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Asked:
    """What stood in the request for a code."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    nonce: str | None


class Codes:
    """The codes that were given out and not yet exchanged."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[float, Asked, Person]] = {}

    def give(self, asked: Asked, person: Person) -> str:
        """A new code for this person's sign-in; old ones make room."""
        now = time.monotonic()
        self._open = {code: entry for code, entry in self._open.items() if entry[0] > now}
        while len(self._open) >= CODES_MAX:
            del self._open[next(iter(self._open))]
        code = secrets.token_urlsafe(32)
        self._open[code] = (now + CODE_SECONDS, asked, person)
        return code

    def take(self, code: str, client_id: str, redirect_uri: str, verifier: str) -> tuple[Asked, Person] | None:
        """Exchange a code, once; whoever presents it wrongly has used it up too."""
        until, asked, person = self._open.pop(code, (0.0, None, None))
        if asked is None or person is None or until < time.monotonic():
            return None
        if asked.client_id != client_id or asked.redirect_uri != redirect_uri:
            return None
        if not VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), asked.challenge):
            return None
        return asked, person


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
