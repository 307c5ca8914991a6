"""The tasks of any service: what was set aside for a person, and redriving it by two."""

from typing import Any
from uuid import UUID

from services.console.neighbours.calls import Voice


class Tasks:
    """One service's tasks in one agent's name; every call raises ServiceSilent, ServiceRefused or TokenRefused."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    async def parked(self) -> Any:
        """Those that wait for a person, the oldest first, with the request to redrive them if there is one."""
        return (await self._voice.get("/internal/v1/tasks"))["parked"]

    async def ask_redrive(self, task_id: UUID, reason: str) -> Any:
        """Ask for it to be tried again; a second person must approve."""
        return await self._voice.post(f"/internal/v1/tasks/{task_id}/redrive", {"reason": reason})

    async def approve_redrive(self, task_id: UUID) -> Any:
        """Approve what somebody else asked for; it is tried again at once."""
        return await self._voice.post(f"/internal/v1/tasks/{task_id}/redrive/approval")
