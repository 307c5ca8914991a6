"""Telling the catalog what came back: stock always comes home by the return document's own id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from services.redemption.neighbours.catalog import GivenBack
from services.redemption.parts import Parts
from services.redemption.returns import store
from services.redemption.returns.domain import Return
from shared.audit import Actor
from shared.failpoints import failpoint
from shared.halves import ask_by_halves
from shared.tasks import Again, Claim, NewTask

GIVER = Actor("service:redemption", "worker")
GIVE_BACK = "give_back"
NOT_UNDERSTOOD = Again("the answer was not understood", after_seconds=60.0)

log = structlog.get_logger()


def give_back_task(document: Return, now: datetime) -> NewTask:
    """The task that tells the catalog of one document; its `ref` is the redemption, as with all tasks here."""
    return NewTask(
        kind=GIVE_BACK,
        ref=document.redemption_id,
        payload={"return_id": str(document.id)},
        run_at=now,
        dedupe_key=str(document.id),
    )


async def give_back_claimed(parts: Parts, claims: Sequence[Claim]) -> Mapping[UUID, Again]:
    """One call for a set of documents. The catalog knows a document that it has seen, so nothing comes home twice."""
    claim_of = {UUID(claim.payload["return_id"]): claim for claim in claims}
    async with parts.database.transaction() as conn:
        documents = await store.read(conn, list(claim_of))
        lines = await store.read_lines(conn, list(claim_of))
    given = [
        GivenBack(
            document.id,
            document.redemption_id,
            document.kind.gives_back,
            [(line.number, line.quantity) for line in lines[document.id]],
        )
        for document in documents.values()
    ]
    outcomes = await ask_by_halves(given, lambda some: parts.catalog.give_back(some, GIVER))
    await failpoint("give_back.after_call")
    done = [claim for one, claim in claim_of.items() if one in outcomes and outcomes[one].outcome == "returned"]
    async with parts.database.transaction() as conn:
        await parts.tasks.finish(conn, done)
    left = [claim for claim in claims if claim not in done]
    for claim in left:
        log.error("answer_not_understood", kind=GIVE_BACK, redemption=str(claim.ref))
    return {claim.id: NOT_UNDERSTOOD for claim in left}
