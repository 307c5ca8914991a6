"""Parked tasks of all services: why they wait, and running them again once two people want it."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Response

from services.console.answering import Section, go_on, load, show, tasks_of
from services.console.entrance import Visit, enter
from services.console.neighbours.calls import ServiceRefused
from services.console.rooms import REDRIVING
from services.console.words.book import say

SERVICES = ("redemption", "fulfillment", "catalog")
REASON_CHARACTERS_MAX = 200
DONE = ("asked", "approved")
Redriver = Annotated[Visit, enter(*REDRIVING)]


async def parked_of(visit: Visit) -> dict[str, Section]:
    """Every service's parked tasks, or why they are not known."""
    found = await asyncio.gather(*(load(tasks_of(visit, service).parked()) for service in SERVICES))
    return dict(zip(SERVICES, found, strict=True))


def is_own(visit: Visit, task: dict[str, object]) -> bool:
    """Whether the request to redrive this task is the agent's own."""
    redrive = task.get("redrive")
    return isinstance(redrive, dict) and redrive["asked_by"] == visit.session.person


def task_router() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/tasks")
    async def list_tasks(visit: Redriver, done: str | None = None) -> Response:
        """All that is parked, by service."""
        said = say(visit.language, f"tasks.done.{done}") if done in DONE else None
        return await _page(visit, said=said)

    @router.post("/tasks/{service}/{task_id}/redrive")
    async def ask_redrive(visit: Redriver, service: str, task_id: UUID) -> Response:
        """Ask for it, with a reason that the second person reads."""
        reason = visit.form.get("reason", "")[:REASON_CHARACTERS_MAX]
        if not reason:
            return await _page(visit, problem=say(visit.language, "reason.missing"), status=422)
        try:
            await tasks_of(visit, _known(service)).ask_redrive(task_id, reason)
        except ServiceRefused as refusal:
            return await _refused(visit, refusal)
        return go_on("/tasks?done=asked")

    @router.post("/tasks/{service}/{task_id}/redrive/approval")
    async def approve_redrive(visit: Redriver, service: str, task_id: UUID) -> Response:
        """Approve what somebody else asked for."""
        try:
            await tasks_of(visit, _known(service)).approve_redrive(task_id)
        except ServiceRefused as refusal:
            return await _refused(visit, refusal)
        return go_on("/tasks?done=approved")

    return router


def _known(service: str) -> str:
    if service not in SERVICES:
        raise HTTPException(404)
    return service


async def _refused(visit: Visit, refusal: ServiceRefused) -> Response:
    own = refusal.code == "self-approval-forbidden"
    problem = (
        say(visit.language, "tasks.self" if own else "problem.refused") if own or not refusal.sentence else refusal.sentence
    )
    return await _page(visit, problem=problem, status=refusal.status)


async def _page(visit: Visit, *, said: str | None = None, problem: str | None = None, status: int = 200) -> Response:
    services = await parked_of(visit)
    own = {task["id"] for section in services.values() for task in section.content or [] if is_own(visit, task)}
    return show(visit, "tasks/list.html", status=status, services=services, own=own, said=said, problem=problem)
