"""Redemption as the console asks it: customers, points, redemptions, cancelling, breaks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.console.neighbours.calls import ServiceRefused, Voice

PAGE = 20
BREAKS_PAGE = 100
NOT_A_PHONE = 422


class Redemption:
    """The service in one agent's name; every call raises ServiceSilent, ServiceRefused or TokenRefused."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    async def find(self, kinds: Sequence[str], term: str) -> dict[str, Any]:
        """The first customers that one of these kinds of look finds, and whether there are more. The service logs each look."""
        for kind in kinds:
            try:
                found: dict[str, Any] = await self._voice.look("/v1/customers/search", {kind: term})
            except ServiceRefused as refusal:
                if refusal.status == NOT_A_PHONE:  # not of that kind: the next may fit
                    continue
                raise
            if found["items"]:
                return found
        return {"items": [], "more": False}

    async def customer(self, customer_id: UUID) -> Any:
        """Who they are, masked."""
        return await self._voice.get(f"/v1/customers/{customer_id}")

    async def unmask(self, customer_id: UUID, reason: str) -> Any:
        """Their full contact data; the service keeps who looked and why."""
        return await self._voice.look(f"/v1/customers/{customer_id}/unmasking", {"reason": reason})

    async def points(self, customer_id: UUID) -> Any:
        """The account, with what is held and what expires soon."""
        return await self._voice.get(f"/v1/customers/{customer_id}/points")

    async def lots(self, customer_id: UUID) -> Any:
        """The open lots, the first to expire first."""
        return (await self._voice.get(f"/v1/customers/{customer_id}/points/lots"))["items"]

    async def redemptions(self, customer_id: UUID, cursor: str | None = None) -> Any:
        """A page of their redemptions, the newest first."""
        return await self._voice.get(f"/v1/customers/{customer_id}/redemptions", cursor=cursor, limit=PAGE)

    async def redemption(self, redemption_id: UUID) -> Any:
        """One redemption with its timeline in words."""
        return await self._voice.get(f"/v1/redemptions/{redemption_id}")

    async def cancel(self, redemption_id: UUID, reason: str, key: str) -> tuple[int, Any]:
        """Ask for a cancellation: 200 when it is cancelled, 202 while it is not decided."""
        return await self._voice.post(f"/v1/redemptions/{redemption_id}/cancellation", {"reason": reason}, key=key)

    async def breaks(self, cursor: str | None = None) -> Any:
        """A page of what does not add up now, with age and owner, and when all was last compared."""
        return await self._voice.get("/internal/v1/breaks", open="true", limit=BREAKS_PAGE, cursor=cursor)
