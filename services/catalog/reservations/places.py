"""Places in quotas come back: to the total, and to the day when it is still the one on which they were counted (K2)."""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.reservations.domain import QuotaCounter
from services.catalog.stock import store as stock


async def give_places_back(conn: AsyncConnection, units: Mapping[tuple[UUID, date], int]) -> None:
    """Give back so many places by offer and the bank's day on which they were counted. Budget lines are locked before this."""
    if not units:
        return
    quotas = await stock.lock_quotas(conn, {offer for offer, _ in units})
    counters = {row["offer_id"]: QuotaCounter(**row) for row in quotas}
    for (offer, counted_on), quantity in units.items():
        counter = counters[offer]
        counter.total_taken -= quantity
        if counter.day_on == counted_on:
            counter.day_taken -= quantity
    await stock.set_quotas(conn, {q.offer_id: (q.total_taken, q.day_taken, q.day_on) for q in counters.values()})
