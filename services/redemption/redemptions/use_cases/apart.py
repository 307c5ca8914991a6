"""Tasks and reports that are committed as a set: what cannot be committed is left alone in the end, and the others are not."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from shared.halves import Halved, by_halves, spoils_a_commit
from shared.tasks import Again, Claim

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger()


async def commit_apart(
    items: Sequence[T], commit: Callable[[Sequence[T]], Awaitable[R]], redemption_of: Callable[[T], UUID | None]
) -> Halved[T, R]:
    """Commit a set, and when it cannot be, its halves. What spoils it is an error in the log."""
    halved = await by_halves(items, commit, spoils_a_commit)
    for item, error in halved.spoiled:
        log.error("cannot_be_committed", redemption=str(redemption_of(item)), error=type(error).__name__, exc_info=error)
    return halved


async def commit_claims(claims: Sequence[Claim], commit: Callable[[Sequence[Claim]], Awaitable[None]]) -> dict[UUID, Again]:
    """Commit the work of tasks as a set. Answers those that could not be, to be tried again by the back-off."""
    halved = await commit_apart(claims, commit, lambda claim: claim.ref)
    return {claim.id: Again(type(error).__name__) for claim, error in halved.spoiled}
