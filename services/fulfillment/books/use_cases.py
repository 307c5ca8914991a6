"""Checking the service's own books."""

from services.fulfillment.books.store import Break, find_breaks
from shared.database import Database


class Books:
    """The use case of the books."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_breaks(self) -> list[Break]:
        """Everything that does not add up; empty on a healthy system, at rest and under load (P4)."""
        async with self._database.transaction() as conn:
            return await find_breaks(conn)
