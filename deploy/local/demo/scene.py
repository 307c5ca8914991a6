"""What every chapter works with, and the things that people in the story do over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import httpx

from deploy.local.demo.telling import Deviation, Teller
from deploy.local.speaking import Refused, Speaker
from deploy.local.suite import Suite
from deploy.local.supervisor import Supervisor

CAMPAIGN = "AUTUMN-2026"
BANK_TIMEZONE = ZoneInfo("Asia/Shanghai")
PATIENCE_SECONDS = 90.0
SENT_AGAIN_AFTER_SECONDS = 0.3
AT_ONCE_MAX = 6

T = TypeVar("T")


@dataclass
class Ending:
    """How a request to redeem ended, and what it took: how often it was sent, and whether it had been on record before."""

    answer: httpx.Response
    sent: int
    was_on_record: bool

    @property
    def code(self) -> str:
        """The refusal's code, or empty."""
        return problem_code(self.answer)


@dataclass
class Scene:
    """The running suite and the day on which the story happens (the bank's)."""

    suite: Suite
    supervisor: Supervisor
    speaker: Speaker
    teller: Teller
    today: date
    files: dict[str, bytes]
    offers: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    """What a later chapter needs of an earlier one."""

    def day(self, days: int) -> str:
        """The day so many days after today."""
        return (self.today + timedelta(days=days)).isoformat()

    async def get(self, service: str, path: str, *, who: str, language: str = "en", **query: Any) -> dict[str, Any]:
        """Read as somebody; what is busy is asked again."""
        headers = {"Accept-Language": language}
        async with patience(f"{service}'s answer to {path}"):
            while True:
                answer = await self.speaker.answer("GET", service, path, who=who, headers=headers, params=query)
                if answer.status_code != 503:
                    break
                await asyncio.sleep(SENT_AGAIN_AFTER_SECONDS)
        if answer.is_error:
            raise Refused(answer)
        found: dict[str, Any] = answer.json()
        return found

    async def of_each(self, people: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> list[T]:
        """Ask something about everybody, a few at once; the answers in order."""
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(who: str) -> T:
            async with gate:
                return await ask(who)

        return await asyncio.gather(*(one(who) for who in people))

    async def offer(self, code: str) -> dict[str, Any]:
        """An offer of the campaign as a customer sees it, in English and Chinese."""
        if code not in self.offers:
            for language in ("en", "zh-Hans"):
                path = f"/v1/campaigns/{CAMPAIGN}/offers"
                for item in (await self.get("catalog", path, who="customer-00001", limit=100, lang=language))["items"]:
                    self.offers.setdefault(item["code"], item)[f"name {language}"] = item["name"]
        return self.offers[code]

    async def redeem(
        self, who: str, offer: str, key: str, quantity: int = 1, delivery: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request to redeem, once; goods say how they are delivered."""
        found = await self.offer(offer)
        lines = [{"offer_id": found["id"], "offer_version": found["version"], "quantity": quantity}]
        body = {"campaign": CAMPAIGN, "lines": lines, **({"delivery": delivery} if delivery else {})}
        headers = {"Idempotency-Key": key}
        return await self.speaker.answer("POST", "redemption", "/v1/redemptions", who=who, headers=headers, json=body)

    async def redeem_to_the_end(self, who: str, offer: str, key: str, delivery: dict[str, str] | None = None) -> Ending:
        """Send a request to redeem as an app does: again under the same key until there is an answer that stays."""
        sent, on_record = 0, False
        async with patience(f"{who}'s request to redeem {offer}"):
            while True:
                sent += 1
                try:
                    answer = await self.redeem(who, offer, key, delivery=delivery)
                except httpx.TransportError:  # cut off: whether it was carried out, nobody knows
                    await asyncio.sleep(SENT_AGAIN_AFTER_SECONDS)
                    continue
                if answer.status_code == 202 or problem_code(answer) == "idempotency-in-flight":
                    on_record = True
                elif answer.status_code < 500:
                    on_record = on_record or (sent > 1 and "idempotency-replayed" in answer.headers)
                    return Ending(answer, sent, on_record)
                await asyncio.sleep(SENT_AGAIN_AFTER_SECONDS)
        raise AssertionError("patience ends with an answer or an error")

    async def customer_id(self, who: str) -> str:
        """The id of a customer who can sign in."""
        found: str = (await self.get("redemption", "/v1/me", who=who))["customer_id"]
        return found

    async def balance(self, who: str) -> dict[str, Any]:
        """A customer's account."""
        return await self.get("redemption", f"/v1/customers/{await self.customer_id(who)}/points", who=who)

    async def statement(self, who: str) -> list[dict[str, Any]]:
        """A customer's postings, the oldest first."""
        path = f"/v1/customers/{await self.customer_id(who)}/points/statement"
        found: list[dict[str, Any]] = (await self.get("redemption", path, who=who, limit=100))["items"]
        return found[::-1]

    async def lots(self, who: str) -> dict[str, int]:
        """What a customer's lots hold, by their last day: the sum of the statement's postings on each."""
        held: dict[str, int] = {}
        for posting in await self.statement(who):
            held[posting["expires_on"]] = held.get(posting["expires_on"], 0) + posting["points"]
        return dict(sorted(held.items()))

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the condition, an async function, holds. Raises Deviation when it takes too long."""
        async with patience(what):
            while not await condition():  # noqa: ASYNC110 - the other side is another process
                await asyncio.sleep(0.2)


@asynccontextmanager
async def patience(what: str) -> AsyncIterator[None]:
    """Give something ninety seconds. Raises Deviation."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield
    except TimeoutError:
        raise Deviation(f"{what} did not come to an end within {PATIENCE_SECONDS:.0f} seconds.") from None


def problem_code(answer: httpx.Response) -> str:
    """The last part of a problem's type, such as `out-of-stock`; empty for a good answer."""
    if not answer.is_error:
        return ""
    try:
        return str(answer.json()["type"]).rpartition("/")[2]
    except (json.JSONDecodeError, KeyError):
        return str(answer.status_code)
