"""Numbers, days and ages in the language's way; addresses to go on to; what was typed into the search box; settings."""

import re
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from deploy.local.suite import CHECKOUT
from services.console.customers.finding import kinds_of
from services.console.entrance import local_path
from services.console.showing import Pages, age_in_words, money, parcel_in_words, text_in
from tests.support.console import settings

PAGES = Pages(lambda name: name, ZoneInfo("Asia/Shanghai"))


def test_days_and_instants_are_those_of_the_bank_in_the_languages_way() -> None:
    at = "2026-11-21T17:05:59+00:00"  # the next day in Shanghai
    assert PAGES.instant(at, "zh_hans") == "2026年11月22日 01:05"
    assert PAGES.instant(at, "en") == "22 Nov 2026, 01:05"
    assert PAGES.day("2026-01-02", "zh_hant") == "2026年1月2日"
    assert PAGES.day("2026-01-02", "en") == "2 Jan 2026"


def test_the_last_day_of_something_is_the_one_before_the_instant_at_which_it_ends() -> None:
    assert PAGES.last_day("2026-12-31T16:00:00+00:00", "en") == "31 Dec 2026"  # midnight in Shanghai is not part of it
    assert PAGES.last_day("2026-12-31T15:59:59+00:00", "en") == "31 Dec 2026"


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "不到 1 分钟", "less than a minute"),
        (60, "1 分钟", "1 minute"),
        (7_199, "1 小时", "1 hour"),
        (172_800, "2 天", "2 days"),
    ],
)
def test_an_age_is_said_in_the_largest_unit_that_fits(seconds: float, zh: str, en: str) -> None:
    assert (age_in_words(seconds, "zh_hans"), age_in_words(seconds, "en")) == (zh, en)


def test_money_has_two_digits_after_the_point() -> None:
    assert money({"amount_minor": 123_405, "currency": "CNY"}) == "CNY 1,234.05"


def test_a_state_that_is_new_to_the_console_is_said_in_the_services_words() -> None:
    words = {"zh_hans": "在海关", "zh_hant": "在海關", "en": "At customs"}
    parcel = {"way": "courier", "state": "at_customs", "state_words": words, "branch": None}
    assert parcel_in_words(parcel, "en") == "At customs"
    assert parcel_in_words({**parcel, "state": "delivered"}, "en") == "The parcel was delivered."
    assert text_in("as asked", "en") == "as asked"


@pytest.mark.parametrize("address", ["/", "/customers/1?x=2", "/a#b", "/客户"])
def test_one_goes_on_to_pages_of_the_console(address: str) -> None:
    assert local_path(address) == address


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "customers",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\r\nSet-Cookie: x",
        "/x\\y",
        "javascript:1",
    ],
)
def test_one_goes_on_to_no_other_host(address: str | None) -> None:
    assert local_path(address) == "/"


@pytest.mark.parametrize(
    ("term", "kinds"),
    [
        ("13800000001", ["phone", "customer_number"]),
        ("+86 138 0000 0001", ["phone"]),
        ("C000001", ["customer_number"]),
        ("1234", ["customer_number"]),
        ("王小明", ["name"]),
        ("Sample Customer", ["name"]),
        ("Anna", ["name"]),
        ("样例客户0001", ["name"]),
    ],
)
def test_the_search_box_takes_phone_number_and_name(term: str, kinds: list[str]) -> None:
    assert kinds_of(term) == kinds


def test_everything_that_a_page_asks_by_itself_says_so() -> None:
    templates = (CHECKOUT / "services/console/templates").rglob("*.html")
    polls = [poll for path in templates for poll in re.findall(r"hx-trigger=.(?:every|load)[^%>]*", path.read_text())]
    assert len(polls) == 5
    for poll in polls:
        assert """hx-headers='{"Huangou-By-Itself":"true"}'""" in poll


def test_a_console_in_the_clear_is_for_loopback_only() -> None:
    assert settings(url="https://desk.bank.example").is_secure
    assert not settings(url="http://localhost:8100").is_secure
    with pytest.raises(ValidationError, match="https"):
        settings(url="http://desk.bank.example")
    with pytest.raises(ValidationError):
        settings(url="https://desk.bank.example/path")


def test_settings_show_no_secret() -> None:
    shown = repr(settings())
    assert "sixteen" not in shown
    assert "AAEC" not in shown
