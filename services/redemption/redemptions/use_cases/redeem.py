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
from services.redemption.redemptions.use_cases.accept import Accepted, AccountBusy, accept, answer_again
from services.redemption.redemptions.use_cases.commands import Answer, Redeem, Writer
from services.redemption.redemptions.use_cases.drive import Step, reserve, settle
from shared.audit import Actor
from shared.batcher import Batcher
from shared.database import DatabaseUnavailable, Overloaded
from shared.failpoints import failpoint
from shared.idempotency import Attempt
from shared.problems import NeighbourUnavailable
from shared.tasks import Again

ANSWER_SECONDS = 3.0
FLOW_SECONDS = 1.0
"""How long a set keeps its place in the batcher while the catalog is at work. Then the next set may start, and the call goes
on beside it: a catalog that hangs for five seconds makes nobody wait five seconds."""
LOOK_AGAIN_SECONDS, LOOK_AGAIN_SECONDS_MAX = 0.1, 0.5
GATHERING_SECONDS = 0.005
"""How long the next set gathers while another is at work: of those who were answered just now, many ask again."""
SINGLES_MAX = 8
WAITING_PER_ACCOUNT_MAX = 64

log = structlog.get_logger()


class Redeeming:
    """The hot path of this process: a batcher for most, and a lane for those who wait for their account."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sets: Batcher[Redeem, Answer | Accepted] = Batcher(
            lambda commands: self._flow(commands, wait=False), wait_seconds=GATHERING_SECONDS, name="redeem"
        )
        self._singles: Batcher[Redeem, Answer | Accepted] = Batcher(
            lambda commands: self._flow(commands, wait=True), size_max=SINGLES_MAX, name="redeem alone"
        )
        self._waiting: Counter[UUID] = Counter()
        self._drives: set[asyncio.Task[dict[UUID, Answer]]] = set()

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

    async def answer_again(self, attempt: Attempt, writer: Writer) -> Answer | None:
        """What a request is told whose key is known; None when it is not. Raises as `redeem` does.

        For those whose offers cannot be read: what was answered before is answered again all the same.
        """
        parts = self._parts
        async with parts.database.transaction() as conn:
            record = (await parts.keys.read(conn, [attempt.key])).get(attempt.key)
            if record is None:
                return None
            outcome = await answer_again(parts, conn, await parts.clock.now(conn), (attempt, writer), record)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Finish what waits."""
        await self._sets.close()
        await self._singles.close()
        await asyncio.gather(*self._drives)

    async def _submit(self, command: Redeem) -> Answer | Accepted:
        try:
            return await self._sets.submit(command)
        except AccountBusy:
            return await self._singles.submit(command)

    async def _flow(self, commands: Sequence[Redeem], *, wait: bool) -> list[Answer | Accepted | BaseException]:
        parts = self._parts
        async with parts.database.transaction() as conn:  # what got in the way is tried again by the batcher
            outcomes = await accept(parts, conn, commands, wait=wait)
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        await failpoint("accept.after_commit")
        answers = await self._drive_for_a_while(accepted) if accepted else {}
        return [
            answers.get(outcome.redemption.id, outcome) if isinstance(outcome, Accepted) else outcome for outcome in outcomes
        ]

    async def _drive_for_a_while(self, accepted: Sequence[Accepted]) -> dict[UUID, Answer]:
        drive = asyncio.create_task(self._drive(accepted))
        self._drives.add(drive)
        drive.add_done_callback(self._drives.discard)
        await asyncio.wait({drive}, timeout=FLOW_SECONDS)
        return drive.result() if drive.done() else {}

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
        """Look every now and then whether the worker has ended it; after three seconds say where to ask again."""
        pause = LOOK_AGAIN_SECONDS
        while time.monotonic() < until:
            try:
                answer = await self._ended(accepted)
            except (Overloaded, DatabaseUnavailable):  # it is on record all the same
                answer = None
            if answer is not None:
                return answer
            await asyncio.sleep(max(0.0, min(pause, until - time.monotonic())))
            pause = min(2 * pause, LOOK_AGAIN_SECONDS_MAX)
        return accepted.command.writer.under_way(accepted.redemption, accepted.lines)

    async def _ended(self, accepted: Accepted) -> Answer | None:
        parts, key = self._parts, accepted.command.attempt.key
        async with parts.database.transaction() as conn:
            redemption = (await store.read(conn, [accepted.redemption.id]))[accepted.redemption.id]
            if redemption.state is State.ACCEPTED:
                return None
            answer = accepted.command.writer.redemption(redemption, accepted.lines)
            await parts.keys.finish(conn, [(key, answer.status, answer.body, answer.location)])
            # Somebody who asked again may have been faster: everybody gets the bytes that were kept first.
            record = (await parts.keys.read(conn, [key]))[key]
        assert record.status is not None
        assert record.body is not None
        return Answer(record.status, bytes(record.body), record.location)
