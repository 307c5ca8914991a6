"""What notices say: in three languages, days as each writes them, and never a code whatever a notice is given to know."""

import json
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.fulfillment.notices.domain import FACTS, NoticeKind, NoticeWish
from services.fulfillment.notices.templates import TEMPLATES, render, render_all
from shared.languages import LANGUAGES, Language

SHANGHAI = ZoneInfo("Asia/Shanghai")
CANARY = "4711 0815"
PLACES = {"zh_hans": "陆家嘴网点", "zh_hant": "陸家嘴網點", "en": "Lujiazui branch"}
FACTS_OF_ALL: dict[str, Any] = {
    "carrier": "sandbox-express",
    "tracking_number": "20261122",
    "at": "2026-11-22T17:05:09+00:00",
    "place": "Pudong depot",
    "number": 3,
    "branch_names": PLACES,
    "branch_addresses": {"zh_hans": "世纪大道1号", "zh_hant": "世紀大道1號", "en": "1 Century Avenue"},
    "branch_hours": {"zh_hans": "周一至周五 9:00–17:00", "zh_hant": "週一至週五 9:00–17:00", "en": "Mon to Fri, 9:00 to 17:00"},
    "ready_until": "2026-12-06",
}
SECRETS = dict.fromkeys(("code", "pickup_code", "voucher", "token", "phone", "name", "address", "recipient"), CANARY)


@pytest.mark.proves("F7")
@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_a_text_in_every_language_with_or_without_facts(kind: NoticeKind, language: Language) -> None:
    full, bare = render(kind, FACTS_OF_ALL, language, SHANGHAI), render(kind, {}, language, SHANGHAI)
    for text in (full, bare):
        assert "{" not in text
        assert "}" not in text
        assert "None" not in text
    assert len(full) > 15
    ascii_only = full.isascii()
    assert ascii_only is (language == "en")
    needed = {name for names, _ in TEMPLATES[kind] for name in names}
    assert needed <= FACTS


@pytest.mark.proves("F7")
@pytest.mark.parametrize("kind", NoticeKind)
def test_no_notice_ever_says_a_code_or_who_somebody_is(kind: NoticeKind) -> None:
    facts = {**FACTS_OF_ALL, **SECRETS}
    assert CANARY not in json.dumps(render_all(kind, facts, SHANGHAI), ensure_ascii=False)
    digits = "0123456789"
    for language in LANGUAGES:
        told = render(kind, {"code": CANARY}, language, SHANGHAI)
        assert not any(digit in told for digit in digits)


@pytest.mark.proves("F7")
def test_days_instants_and_places_are_written_as_the_language_writes_them() -> None:
    ready = render_all(NoticeKind.PICKUP_READY, FACTS_OF_ALL, SHANGHAI)
    assert "已到陆家嘴网点" in ready["zh_hans"]
    assert "2026年12月6日前（含当日）" in ready["zh_hans"]
    assert "週一至週五" in ready["zh_hant"]
    assert "by the end of 6 December 2026" in ready["en"]
    assert "1 Century Avenue" in ready["en"]
    delivered = render_all(NoticeKind.PARCEL_DELIVERED, FACTS_OF_ALL, SHANGHAI)
    assert "23 November 2026 at 01:05" in delivered["en"], "in the bank's time zone"
    assert "2026年11月23日 01:05" in delivered["zh_hant"]


def test_a_tracking_number_of_digits_is_no_day() -> None:
    assert "tracking number 20261122." in render(NoticeKind.PARCEL_DISPATCHED, FACTS_OF_ALL, "en", SHANGHAI)


def test_a_fact_is_never_taken_for_a_template_and_never_too_long() -> None:
    facts = {"carrier": "{tracking_number}{0.__class__}", "tracking_number": "9" * 5000}
    told = render(NoticeKind.PARCEL_DISPATCHED, facts, "en", SHANGHAI)
    assert "{tracking_number}{0.__class__}" in told
    assert told.count("9") == 200


def test_one_wish_is_one_notice_and_a_second_failed_delivery_is_another() -> None:
    def wish(kind: NoticeKind = NoticeKind.DELIVERY_FAILED, **facts: Any) -> UUID:
        return NoticeWish(UUID(int=1), UUID(int=2), kind, facts).id

    assert wish(number=4) == wish(number=4, place="elsewhere")
    assert len({wish(number=4), wish(number=6), wish(NoticeKind.PARCEL_DELIVERED, number=4)}) == 3
