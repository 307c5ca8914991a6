"""Where concurrent reservation calls of many nodes come together, to share a transaction."""

import asyncio

from services.catalog.reservations.domain import Outcome, Wish
from services.catalog.reservations.use_cases import Reservations, Settlement
from shared.batcher import Batcher


class Lanes:
    """One batcher a verb: concurrent calls of many nodes share a transaction."""

    def __init__(self, reservations: Reservations) -> None:
        self.reserve: Batcher[Wish, Outcome] = Batcher(reservations.reserve, name="reserve")
        self.release: Batcher[Settlement, Outcome] = Batcher(reservations.release, name="release")
        self.consume: Batcher[Settlement, Outcome] = Batcher(reservations.consume, name="consume")

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(self.reserve.close(), self.release.close(), self.consume.close())
