"""The first page: what waits for me, counted, with the way to it."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Response

from services.console.answering import Section, fulfillment_of, load, redemption_of, show
from services.console.entrance import Visit, enter
from services.console.rooms import FINDING, HANDING_OVER, RECONCILING, REDRIVING
from services.console.tasks.pages import is_own, parked_of


@dataclass(frozen=True)
class Waiting:
    """So many of something, and where they are seen; or the service that cannot say."""

    key: str
    address: str
    count: int | None = None
    silent: str | None = None
    more: bool = False
    """Whether there are more than were counted."""


def home_router() -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get("/")
    async def home(visit: Annotated[Visit, enter()]) -> Response:
        """What is waiting for the roles of this agent."""
        works: list[Awaitable[list[Waiting]]] = []
        if visit.session.has_role(*HANDING_OVER) and visit.session.branch is not None:
            works += [_pickups(visit, visit.session.branch, state) for state in ("in_transfer", "ready")]
        if visit.session.has_role(*REDRIVING):
            works.append(_tasks(visit))
        if visit.session.has_role(*RECONCILING):
            works.append(_breaks(visit))
        waiting = [each for found in await asyncio.gather(*works) for each in found]
        return show(visit, "home.html", waiting=waiting, finds=visit.session.has_role(*FINDING))

    return router


async def _pickups(visit: Visit, branch: str, state: str) -> list[Waiting]:
    found = await load(fulfillment_of(visit).pickups(branch, state))
    return [_counted(f"home.{state}", f"/pickups?state={state}", found)]


async def _tasks(visit: Visit) -> list[Waiting]:
    services = await parked_of(visit)
    tasks = [task for section in services.values() for task in section.content or []]
    approvals = [task for task in tasks if task["redrive"] and not is_own(visit, task)]
    silent = [Waiting("home.parked", "/tasks", silent=section.silent) for section in services.values() if section.silent]
    if len(silent) == len(services):
        return silent
    return [Waiting("home.approvals", "/tasks", len(approvals)), Waiting("home.parked", "/tasks", len(tasks)), *silent]


async def _breaks(visit: Visit) -> list[Waiting]:
    found = await load(redemption_of(visit).breaks())
    rows: Any = found.content or {"items": [], "next": None}
    counted = Section(content=rows["items"], silent=found.silent, refused=found.refused)
    return [_counted("home.breaks", "/breaks", counted, more=rows["next"] is not None)]


def _counted(key: str, address: str, found: Section, *, more: bool = False) -> Waiting:
    return Waiting(key, address, None if found.content is None else len(found.content), found.silent, more)
