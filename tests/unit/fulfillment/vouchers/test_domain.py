"""How long a voucher is good, which state holds, and how it is said."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fulfillment.vouchers.domain import (
    ARROWS,
    STATE_WORDS,
    VoucherNotShowable,
    VoucherState,
    expires_at,
    require_showable,
    state_at,
)
from shared.clock import bank_day
from shared.languages import LANGUAGES

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.proves("F3")
def test_the_day_of_issue_is_not_counted_and_the_last_day_is_whole() -> None:
    issued = dt.datetime(2026, 11, 1, 15, 59, 59, tzinfo=dt.UTC)  # 23:59:59 of the 1st in Shanghai
    assert expires_at(issued, 30, SHANGHAI) == dt.datetime(2026, 12, 2, 0, 0, tzinfo=SHANGHAI)
    a_second_later = issued + dt.timedelta(seconds=1)  # the 2nd
    assert expires_at(a_second_later, 30, SHANGHAI) == dt.datetime(2026, 12, 3, 0, 0, tzinfo=SHANGHAI)


@pytest.mark.proves("F3")
@given(
    st.integers(1_577_836_800, 2_208_988_800).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)),  # 2020 to 2039
    st.integers(1, 3650),
    st.sampled_from([SHANGHAI, NEW_YORK]),
)
def test_a_voucher_is_good_on_its_last_day_and_not_on_the_next(issued: dt.datetime, days: int, zone: ZoneInfo) -> None:
    end = expires_at(issued, days, zone)
    last = bank_day(end - dt.timedelta(microseconds=1), zone)
    assert last == bank_day(issued, zone) + dt.timedelta(days=days)
    assert bank_day(end, zone) == last + dt.timedelta(days=1)


@pytest.mark.proves("F3")
def test_a_voucher_past_its_time_is_expired_whether_or_not_it_is_marked() -> None:
    end = dt.datetime(2026, 12, 2, tzinfo=SHANGHAI)
    just_before = end - dt.timedelta(microseconds=1)
    assert state_at(VoucherState.ISSUED, end, just_before) is VoucherState.ISSUED
    assert state_at(VoucherState.ISSUED, end, end) is VoucherState.EXPIRED
    for settled in (VoucherState.USED, VoucherState.VOIDED, VoucherState.EXPIRED):
        assert state_at(settled, end, end) is settled


def test_a_code_is_shown_only_while_the_voucher_can_be_used() -> None:
    require_showable(VoucherState.ISSUED)
    for state in set(VoucherState) - {VoucherState.ISSUED}:
        with pytest.raises(VoucherNotShowable):
            require_showable(state)


def test_every_state_is_said_in_three_languages_and_can_be_reached() -> None:
    assert {state: set(words) for state, words in STATE_WORDS.items()} == {state: set(LANGUAGES) for state in VoucherState}
    assert all(all(words.values()) for words in STATE_WORDS.values())
    assert {to for _, to in ARROWS} == set(VoucherState)
