"""Keeping the mirror of merchants and terminals in step with the catalog."""

from collections.abc import Sequence
from typing import Protocol

from services.fulfillment.merchants import store
from services.fulfillment.merchants.domain import Directory
from shared.clock import Clock
from shared.database import Database
from shared.tasks import Claim, Tasks

MIRRORING = "mirror_merchants"
EVERY_SECONDS = 30


class MerchantSource(Protocol):
    """Where the list of merchants comes from."""

    async def read_merchants(self, etag: str | None) -> Directory | None:
        """The whole list, or None when the tag still names it. Raises NeighbourUnavailable when it cannot be had."""


class Mirror:
    """The use case of the mirror."""

    def __init__(self, database: Database, clock: Clock, tasks: Tasks, source: MerchantSource) -> None:
        self._database = database
        self._clock = clock
        self._tasks = tasks
        self._source = source

    async def mirror(self, claims: Sequence[Claim]) -> None:
        """Ask the catalog for its list outside of any transaction; where it changed, replace ours in one commit."""
        async with self._database.transaction() as conn:
            etag = await store.read_etag(conn)
        directory = await self._source.read_merchants(etag)
        async with self._database.transaction() as conn:
            if not await self._tasks.finish(conn, claims):
                return
            now = await self._clock.now(conn)
            if directory is not None:
                await store.replace_all(conn, directory)
            await store.note_read(conn, now, etag if directory is None else directory.etag)
