"""By which day a branch can have a parcel ready."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fulfillment.branches.domain import Pace

TODAY = date(2026, 11, 22)


@pytest.mark.proves("F2")
@pytest.mark.parametrize(
    ("waiting", "capacity", "days"),
    [(0, 10, 3), (9, 10, 3), (10, 10, 17), (19, 10, 17), (20, 10, 31), (5, 0, 3)],
)
def test_each_full_shelf_ahead_moves_the_day(waiting: int, capacity: int, days: int) -> None:
    ready = Pace(transfer_days=3, pickup_days=14).ready_by(TODAY, waiting=waiting, capacity=capacity)
    assert (ready - TODAY).days == days


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_more_parcels_never_make_it_sooner(waiting: int, capacity: int) -> None:
    pace = Pace(3, 14)
    assert pace.ready_by(TODAY, waiting=waiting, capacity=capacity) <= pace.ready_by(
        TODAY, waiting=waiting + 1, capacity=capacity
    )
