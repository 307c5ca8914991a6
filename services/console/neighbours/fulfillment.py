"""Fulfillment as the console asks it: vouchers, parcels, notices, and the counter of a branch."""

from typing import Any
from uuid import UUID

from services.console.neighbours.calls import Voice

PAGE = 50


class Fulfillment:
    """The service in one agent's name; every call raises ServiceSilent, ServiceRefused or TokenRefused."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    async def vouchers(self, customer_id: UUID) -> Any:
        """A customer's vouchers without codes, the newest first."""
        return await self._voice.get(f"/v1/customers/{customer_id}/vouchers", limit=PAGE)

    async def parcels(self, customer_id: UUID) -> Any:
        """A customer's parcels with what happened to them in words."""
        return await self._voice.get(f"/v1/customers/{customer_id}/parcels")

    async def notices(self, customer_id: UUID) -> Any:
        """What a customer was told, by which way, and whether it was sent."""
        return await self._voice.get(f"/v1/customers/{customer_id}/notices")

    async def pickups(self, branch: str, state: str) -> Any:
        """A branch's parcels in one state."""
        return (await self._voice.get(f"/v1/branches/{branch}/pickups", state=state))["items"]

    async def confirm_arrival(self, parcel_id: UUID) -> Any:
        """The parcel is at the branch; again it is the same."""
        return await self._voice.put(f"/v1/parcels/{parcel_id}/arrival")

    async def hand_over(self, parcel_id: UUID, code: str) -> Any:
        """The customer showed this code; again it is the same."""
        return await self._voice.put(f"/v1/parcels/{parcel_id}/handover", {"code": code})

    async def report_loss(self, parcel_id: UUID, reason: str) -> Any:
        """The parcel was lost on its way to the branch or at it; again it is the same."""
        return await self._voice.put(f"/v1/parcels/{parcel_id}/loss", {"reason": reason})
