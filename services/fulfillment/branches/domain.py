"""What a branch is, and by which day it can have a parcel ready."""

from dataclasses import dataclass
from datetime import date, timedelta

from shared.languages import Text

CAPACITY_MAX = 100_000
BRANCHES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of the bank at which parcels can be collected."""

    code: str
    names: Text
    addresses: Text
    phone: str
    hours: Text
    open: bool
    capacity_parcels: int
    """How many parcels its shelf holds at once."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How parcels come to branches: days on their way, and days that one may lie there."""

    transfer_days: int
    pickup_days: int

    def ready_by(self, today: date, *, waiting: int, capacity: int) -> date:
        """By which day one more parcel can be ready where so many are under way or lie already (F2).

        Each whole shelf ahead of it moves the day by as long as a parcel may lie. A full branch refuses nothing.
        """
        shelves_ahead = waiting // capacity if capacity > 0 else 0
        return today + timedelta(days=self.transfer_days + self.pickup_days * shelves_ahead)
