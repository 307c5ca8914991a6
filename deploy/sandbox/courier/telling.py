"""Telling of events by signed webhooks, until each is heard; with the faults that webhooks have."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.sandbox.courier.parcels import Parcels
from deploy.sandbox.faults import Faults
from shared.webhooks import sign

AGAIN_SECONDS_MIN, AGAIN_SECONDS_MAX = 1.0, 60.0
ANSWER_SECONDS_MAX = 5.0


@dataclass
class Outgoing:
    """An event that is still to be told."""

    due_at: float
    copies: int = 1
    tries: int = 0


class Teller:
    """Sends what is due. A webhook counts as heard when it is answered with 2xx; all else is sent again, for ever."""

    def __init__(
        self,
        parcels: Parcels,
        faults: Faults,
        http: httpx.AsyncClient,
        clock: Callable[[], float],
        *,
        url: str,
        secret: bytes,
    ) -> None:
        self._parcels = parcels
        self._faults = faults
        self._http = http
        self._clock = clock
        self._url = url
        self._secret = secret
        self._outgoing: dict[str, Outgoing] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Tell of an event, as the faults that are on now allow."""
        fault, now = self._faults.webhooks, self._clock()
        delay = {"late": self._faults.seconds, "shuffled": random.uniform(0.0, self._faults.seconds)}.get(fault, 0.0)  # noqa: S311
        if fault == "lost":
            self._parcels.mark_told(event["id"])
        else:
            self._outgoing[event["id"]] = Outgoing(now + delay, copies=2 if fault == "doubled" else 1)

    async def send_due(self) -> int:
        """Send what is due, the earliest first; answers how many were sent."""
        now = self._clock()
        for event_id in self._parcels.untold:  # an earlier process, or one beside this, may have left some
            self._outgoing.setdefault(event_id, Outgoing(now))
        due = sorted((one for one in self._outgoing.items() if one[1].due_at <= now), key=lambda one: one[1].due_at)
        for event_id, outgoing in due:
            if await self._send(event_id):
                outgoing.copies -= 1
                outgoing.due_at = now
                if outgoing.copies == 0:
                    del self._outgoing[event_id]
                    self._parcels.mark_told(event_id)
            else:
                outgoing.tries += 1
                outgoing.due_at = now + min(AGAIN_SECONDS_MIN * 2.0 ** (outgoing.tries - 1), AGAIN_SECONDS_MAX)
        return len(due)

    async def _send(self, event_id: str) -> bool:
        event = self._parcels.untold.get(event_id)
        if event is None:  # told by somebody else
            return True
        body = json.dumps(event, ensure_ascii=False).encode()
        signed = sign(self._secret, event_id, datetime.fromtimestamp(self._clock(), UTC), body)
        headers = {**signed, "Content-Type": "application/json"}
        try:
            answer = await self._http.post(self._url, content=body, headers=headers, timeout=ANSWER_SECONDS_MAX)
        except httpx.HTTPError:
            return False
        return answer.is_success
