"""Where uses and reversals of many tills come together, to share a transaction."""

import asyncio

from services.fulfillment.tills.domain import Outcome, ReversalRequest, UseRequest
from services.fulfillment.tills.use_cases import Tills
from shared.batcher import Batcher


class Lanes:
    """One batcher a verb."""

    def __init__(self, tills: Tills) -> None:
        self.use: Batcher[UseRequest, Outcome] = Batcher(tills.use, name="use vouchers")
        self.reverse: Batcher[ReversalRequest, Outcome] = Batcher(tills.reverse, name="reverse uses")

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(self.use.close(), self.reverse.close())
