"""Reading merchants, for the services that must know which tills there are."""

from collections.abc import Mapping
from typing import Any

from services.catalog.merchants import store
from shared.database import Database


class Merchants:
    """The use cases of merchants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> list[Mapping[str, Any]]:
        """Every merchant with its terminals."""
        async with self._database.transaction() as conn:
            return await store.all_merchants(conn)
