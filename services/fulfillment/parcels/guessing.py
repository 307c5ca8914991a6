"""How many wrong pickup codes are enough: for one parcel, for whoever types them, and at one branch (F2, G12).

Eight digits are few for somebody who may try at every parcel, so what is tried counts against all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """So many wrong codes within any stretch of time of this length, and no more are compared."""

    count: int
    window: timedelta


PARCEL = (Limit(5, timedelta(minutes=10)),)
PERSON_OR_BRANCH = (Limit(20, timedelta(minutes=10)), Limit(100, timedelta(days=1)))
LIMITS: Mapping[str, Sequence[Limit]] = {"parcel": PARCEL, "person": PERSON_OR_BRANCH, "branch": PERSON_OR_BRANCH}
WINDOW_MAX = max(limit.window for limits in LIMITS.values() for limit in limits)
COUNT_MAX = max(limit.count for limits in LIMITS.values() for limit in limits)


def patience(now: datetime, tried: Mapping[str, Sequence[datetime]]) -> timedelta | None:
    """How long nothing is compared any more, or None. `tried` are the last wrong codes of each, the last first."""
    ends = [
        latest[limit.count - 1] + limit.window
        for whose, limits in LIMITS.items()
        for limit in limits
        if len(latest := tried.get(whose, ())) >= limit.count
    ]
    wait = max(ends, default=now) - now
    return wait if wait > timedelta() else None
