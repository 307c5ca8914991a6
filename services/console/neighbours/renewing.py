"""Prolonging sessions: an access token lasts minutes, so it is exchanged for the next one shortly before its end.

A page asks for several things at once, and a refresh token is good once. So one exchange serves all who hold the same token,
those included who come a little later with the older cookie. Where another console was first, whoever is left goes on with what
is still good and leaves the browser's cookie alone: it may be the newer one by now.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace

from services.console.neighbours.identity import Provider, ProviderSilent, SignInEnded, Tokens
from services.console.sessions import Session, Sessions
from shared.app import STOPPING

RENEWED_BEFORE_SECONDS = 45.0
KEPT_SECONDS = 60.0
KEPT_MAX = 2_000


class Renewals:
    """Exchanges tokens, each once."""

    def __init__(self, provider: Provider, sessions: Sessions) -> None:
        """Keeps what it exchanged for a minute, by the hash of the token that was given for it."""
        self._provider, self._sessions = provider, sessions
        self._done: OrderedDict[str, tuple[float, asyncio.Task[Tokens]]] = OrderedDict()

    async def renewed(self, session: Session) -> Session:
        """The session with an access token that is still good, a new one where it can be had.

        A console that is stopping leaves renewing to the one that follows, as long as the token lasts. Raises SignInEnded, or
        ProviderSilent when the token is over and no other to be had.
        """
        left = session.access_until - self._sessions.now()
        if left > RENEWED_BEFORE_SECONDS:
            return session
        if session.refresh_token is None:
            if left <= 0:
                raise SignInEnded
            return session
        if STOPPING.is_set() and left > 0:
            return session
        try:
            tokens = await self._exchanged(session.refresh_token)
        except (ProviderSilent, SignInEnded):
            if left <= 0:
                raise
            return session  # good for some more seconds; the next page asks again, perhaps with tokens that another console got
        return replace(
            session,
            access_token=tokens.access_token,
            access_until=tokens.access_until,
            refresh_token=tokens.refresh_token,
        )

    def is_behind(self, session: Session) -> bool:
        """Whether the browser may have newer tokens than these, so that a cookie with them must not be set any more."""
        if STOPPING.is_set():
            return True
        known = self._done.get(_name(session.refresh_token)) if session.refresh_token else None
        if known is None:
            return False
        exchange = known[1]
        if not exchange.done() or exchange.cancelled() or exchange.exception() is not None:
            return True
        return exchange.result().access_token != session.access_token  # some providers give the same refresh token again

    async def _exchanged(self, token: str) -> Tokens:
        name, now = _name(token), self._sessions.now()
        while self._done and (len(self._done) >= KEPT_MAX or next(iter(self._done.values()))[0] < now):
            self._done.popitem(last=False)
        known = self._done.get(name)
        if known is None:
            known = self._done[name] = (now + KEPT_SECONDS, asyncio.create_task(self._provider.refresh(token)))
        try:
            return await asyncio.shield(known[1])  # whoever goes away does not stop it for the others
        except ProviderSilent:
            self._done.pop(name, None)
            raise


def _name(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
