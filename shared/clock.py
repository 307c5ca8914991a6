"""The clock: one instant a command, and it is the database's.

Nodes drift; the database is the one clock that all of them share (G35). A use case reads it once and binds it as a parameter.
"""

from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_NOW = text("SELECT clock_timestamp()")


class Clock(Protocol):
    """Tells the instant at which a command takes place."""

    async def now(self, conn: AsyncConnection) -> datetime:
        """The present instant, with its offset."""


class DatabaseClock:
    """The database's own time: `clock_timestamp()`, since `now()` stands still inside a transaction."""

    async def now(self, conn: AsyncConnection) -> datetime:
        """Read after the rows are locked, it orders what happens to them."""
        instant: datetime = (await conn.execute(_NOW)).scalar_one()
        return instant


class SetClock:
    """A clock that tests set by hand."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    async def now(self, conn: AsyncConnection) -> datetime:  # noqa: ARG002 - as the port has it
        """Whatever the test says."""
        return self.instant

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self.instant += by


def bank_day(instant: datetime, timezone: ZoneInfo) -> date:
    """The day on which the instant falls in the bank's time zone."""
    return instant.astimezone(timezone).date()


def day_starts_at(day: date, timezone: ZoneInfo) -> datetime:
    """The first instant of a day in the bank's time zone."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone)
