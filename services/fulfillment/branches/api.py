"""Branches over HTTP: the bank's list goes in, customers choose from the open ones, services read them all."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Request, Response

from services.fulfillment.answers import NOT_MODIFIED, json_answer, tagged_answer
from services.fulfillment.branches.schemas import (
    BranchBody,
    BranchesBody,
    BranchesView,
    BranchView,
    OpenBranchesView,
    OpenBranchView,
    WrittenView,
)
from services.fulfillment.branches.use_cases import Branches
from shared.app import new_router
from shared.audit import Actor
from shared.errors import FieldError
from shared.identity import Principal, allow, customers, services, staff
from shared.problems import InvalidInput

ROLES = ("agent", "reviewer", "supervisor", "branch", "campaign_manager", "auditor", "administrator")
Keeper = Annotated[Principal, allow(services("feeds:write"), staff("administrator"))]
Chooser = Annotated[Principal, allow(customers("catalog:read"), staff(*ROLES))]
Internal = Annotated[Principal, allow(services("internal"))]
BODY_BYTES_MAX = 8 * 1024 * 1024
"""Two thousand branches with their texts in three languages."""


def branch_router(branches: Branches) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.put("/v1/branches", responses={200: {"model": WrittenView}}, max_body_size=BODY_BYTES_MAX)
    async def write_branches(body: BranchesBody, who: Keeper) -> Response:
        """Add and change branches, all or none. Those that are not listed stay as they are; one closes by `open` alone."""
        if twice := list(_twice(body.items)):
            raise InvalidInput(*twice)
        actor = Actor.of(who, reason="the bank's list of branches")
        await branches.write([item.as_branch() for item in body.items], actor)
        return json_answer(WrittenView(taken=len(body.items)))

    @router.get("/v1/branches", responses={200: {"model": OpenBranchesView}})
    async def list_open_branches(who: Chooser) -> Response:  # noqa: ARG001 - the policy
        """The branches at which parcels can be collected, each with the day by which one asked for now can be ready."""
        found = await branches.list_open()
        return json_answer(OpenBranchesView(items=[OpenBranchView.of(branch, ready_by) for branch, ready_by in found]))

    @router.get("/internal/v1/branches", responses={200: {"model": BranchesView}, **NOT_MODIFIED})
    async def list_branches(request: Request, who: Internal) -> Response:  # noqa: ARG001 - the policy
        """Every branch; 304 for whoever has the newest list."""
        return tagged_answer(request, BranchesView(items=[BranchView.of(one) for one in await branches.list_all()]))

    return router


def _twice(items: Sequence[BranchBody]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, item in enumerate(items):
        if item.code in seen:
            yield FieldError(f"items[{number}].code", "duplicate")
        seen.add(item.code)
