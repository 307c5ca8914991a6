"""Redeeming: one flow for a set of commands. Accept in one commit, ask the catalog once, settle in one commit.

A request that cannot be settled at once (the catalog is away, another request holds the account) waits up to three seconds
and then answers where to ask again; the worker carries the redemption on.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import structlog

from services.redemption.parts import Parts
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import State
from services.redemption.redemptions.use_cases.accept import Accepted, AccountBusy, accept
from services.redemption.redemptions.use_cases.commands import Answer, Redeem
from services.redemption.redemptions.use_cases.drive import Step, reserve, settle
from shared.audit import Actor
from shared.batcher import Batcher
from shared.database import Overloaded
from shared.failpoints import failpoint
from shared.problems import NeighbourUnavailable
from shared.tasks import Again

ANSWER_SECONDS = 3.0
LOOK_AGAIN_SECONDS = 0.1
SINGLES_MAX = 8
WAITING_PER_ACCOUNT_MAX = 64

log = structlog.get_logger()


class Redeeming:
    """The hot path of this process: a batcher for most, and a lane for those who wait for their account."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sets: Batcher[Redeem, Answer | Accepted] = Batcher(lambda commands: self._flow(commands, wait=False))
        self._singles: Batcher[Redeem, Answer | Accepted] = Batcher(
            lambda commands: self._flow(commands, wait=True), size_max=SINGLES_MAX
        )
        self._waiting: Counter[UUID] = Counter()

    async def redeem(self, command: Redeem) -> Answer:
        """Carry one command to its answer. Raises what refuses it without a trace (a reused key, too many waiting)."""
        account = command.customer.account_id
        if self._waiting[account] >= WAITING_PER_ACCOUNT_MAX:
            raise Overloaded
        started = time.monotonic()
        self._waiting[account] += 1
        try:
            outcome = await self._submit(command)
        finally:
            self._waiting[account] -= 1
            if not self._waiting[account]:
                del self._waiting[account]
        if isinstance(outcome, Answer):
            return outcome
        return await self._await_end(outcome, until=started + ANSWER_SECONDS)

    async def close(self) -> None:
        """Finish what waits."""
        await self._sets.close()
        await self._singles.close()

    async def _submit(self, command: Redeem) -> Answer | Accepted:
        try:
            return await self._sets.submit(command)
        except AccountBusy:
            return await self._singles.submit(command)

    async def _flow(self, commands: Sequence[Redeem], *, wait: bool) -> list[Answer | Accepted | BaseException]:
        parts = self._parts
        outcomes = await parts.database.run(lambda conn: accept(parts, conn, commands, wait=wait))
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        await failpoint("accept.after_commit")
        answers = await self._drive(accepted) if accepted else {}
        return [
            answers.get(outcome.redemption.id, outcome) if isinstance(outcome, Accepted) else outcome for outcome in outcomes
        ]

    async def _drive(self, accepted: Sequence[Accepted]) -> dict[UUID, Answer]:
        """The first attempt, by the request itself: it is the sole one, so a refusal leaves nothing in doubt."""
        parts = self._parts
        try:
            actor = Actor("service:redemption", "api")
            settled = await reserve(parts, [(a.redemption, a.lines) for a in accepted], actor)
            steps = [
                Step(a.redemption, a.lines, a.claim, *settled[a.redemption.id], command=a.command)
                for a in accepted
                if a.redemption.id in settled
            ]
            answers = await parts.database.run(lambda conn: settle(parts, conn, steps))
        except Exception as error:
            if not isinstance(error, NeighbourUnavailable):
                log.error("redemptions_not_settled", error=type(error).__name__, exc_info=True)
            answers = {}
        left = [a for a in accepted if a.redemption.id not in answers]
        if left:
            await self._hand_over(left)
        return answers

    async def _hand_over(self, left: Sequence[Accepted]) -> None:
        """Give up the leases, so that a worker need not wait for their end. When even that fails, they end by themselves."""
        try:
            async with self._parts.database.transaction() as conn:
                await self._parts.tasks.defer(conn, [(a.claim, Again("left by the request")) for a in left])
        except Exception as error:  # noqa: BLE001
            log.warning("leases_not_given_up", error=type(error).__name__)

    async def _await_end(self, accepted: Accepted, *, until: float) -> Answer:
        parts, command = self._parts, accepted.command
        redemption = accepted.redemption
        while True:
            async with parts.database.transaction() as conn:
                redemption = (await store.read(conn, [redemption.id]))[redemption.id]
                if redemption.state is not State.ACCEPTED:
                    answer = command.writer.redemption(redemption, accepted.lines)
                    await parts.keys.finish(conn, [(command.attempt.key, answer.status, answer.body, answer.location)])
                    # Somebody who asked again may have been faster: everybody gets the bytes that were kept first.
                    record = (await parts.keys.read(conn, [command.attempt.key]))[command.attempt.key]
                    assert record.status is not None
                    assert record.body is not None
                    return Answer(record.status, bytes(record.body), record.location)
            if time.monotonic() >= until:
                return command.writer.under_way(redemption, accepted.lines)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
