"""What notices say, in three languages, with places and days in them and never a code.

Facts that a template names and nobody gave are left out with the words around them: each sentence is a piece of its own.
Days are written as the language writes them; instants in the bank's time zone.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.fulfillment.notices.domain import DAYS, INSTANTS, NoticeKind
from shared.languages import LANGUAGES, Language, Text

FACT_CHARACTERS_MAX = 200
"""Of one fact in a text; a gateway sends short messages."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_BETWEEN: Mapping[Language, str] = {"zh_hans": "", "zh_hant": "", "en": " "}
_Piece = tuple[tuple[str, ...], Text]


def _piece(zh_hans: str, zh_hant: str, en: str, *facts: str) -> _Piece:
    """A sentence, and the facts without which it is not said."""
    return facts, {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


_TRACKING = _piece(
    "承运商：{carrier}，运单号：{tracking_number}。", "承運商：{carrier}，運單號：{tracking_number}。",
    "Carrier: {carrier}, tracking number {tracking_number}.", "carrier", "tracking_number",
)  # fmt: skip
_WHERE = _piece(
    "地址：{branch_addresses}。", "地址：{branch_addresses}。", "Address: {branch_addresses}.", "branch_addresses"
)  # fmt: skip
_HOURS = _piece(
    "营业时间：{branch_hours}。", "營業時間：{branch_hours}。", "Opening hours: {branch_hours}.", "branch_hours"
)  # fmt: skip
_POINTS = _piece("积分将退还至您的账户。", "積分將退還至您的帳戶。", "Your points will be returned to your account.")
_ID = _piece(
    "取件码请在应用内查看，请勿告诉他人。", "取件碼請在應用程式內查看，請勿告訴他人。",
    "Find the pickup code in the app, and tell it to nobody.",
)  # fmt: skip

TEMPLATES: Mapping[NoticeKind, Sequence[_Piece]] = {
    NoticeKind.PARCEL_DISPATCHED: (
        _piece("您兑换的礼品已寄出。", "您兌換的禮品已寄出。", "The goods that you redeemed are on their way."),
        _TRACKING,
    ),
    NoticeKind.PARCEL_DELIVERED: (
        _piece("您的包裹已于{at}签收。", "您的包裹已於{at}簽收。", "Your parcel was delivered on {at}.", "at"),
        _piece("如非本人签收，请联系我们。", "如非本人簽收，請聯絡我們。", "Please tell us if you did not receive it."),
    ),
    NoticeKind.DELIVERY_FAILED: (
        _piece("您的包裹于{at}派送未成功。", "您的包裹於{at}派送未成功。", "Your parcel could not be delivered on {at}.", "at"),
        _piece("包裹现在：{place}。", "包裹現在：{place}。", "It is now at: {place}.", "place"),
        _piece("承运商将再次派送。", "承運商將再次派送。", "The carrier will try again."),
    ),
    NoticeKind.PICKUP_READY: (
        _piece(
            "您兑换的礼品已到{branch_names}，可以领取。", "您兌換的禮品已到{branch_names}，可以領取。",
            "The goods that you redeemed can be collected at {branch_names}.", "branch_names",
        ),
        _WHERE, _HOURS,
        _piece("请于{ready_until}前（含当日）领取。", "請於{ready_until}前（含當日）領取。",
               "Please come by the end of {ready_until}.", "ready_until"),
        _ID,
    ),
    NoticeKind.PICKUP_REMINDER: (
        _piece(
            "您的礼品仍在{branch_names}等候领取。", "您的禮品仍在{branch_names}等候領取。",
            "Your goods are still waiting at {branch_names}.", "branch_names",
        ),
        _piece("最后领取日：{ready_until}。", "最後領取日：{ready_until}。", "The last day to collect them is {ready_until}.",
               "ready_until"),
        _WHERE, _HOURS, _ID,
    ),
    NoticeKind.PICKUP_EXPIRED: (
        _piece(
            "您的礼品在{branch_names}逾期未领，已退回。", "您的禮品在{branch_names}逾期未領，已退回。",
            "Your goods were not collected at {branch_names} in time and have been sent back.", "branch_names",
        ),
        _POINTS,
    ),
    NoticeKind.PARCEL_RETURNED: (
        _piece("您的包裹未能送达，已退回。", "您的包裹未能送達，已退回。", "Your parcel could not be delivered and came back."),
        _POINTS,
    ),
    NoticeKind.PARCEL_LOST: (
        _piece("很抱歉，您的包裹在途中遗失。", "很抱歉，您的包裹在途中遺失。", "We are sorry: your parcel was lost."),
        _POINTS,
    ),
    NoticeKind.PARCEL_REFUSED: (
        _piece(
            "很抱歉，快递公司无法寄送您的包裹，礼品未能寄出。", "很抱歉，快遞公司無法寄送您的包裹，禮品未能寄出。",
            "We are sorry: the carrier cannot take your parcel, so it was not sent.",
        ),
        _POINTS,
    ),
}  # fmt: skip


def render(kind: NoticeKind, facts: Mapping[str, Any], language: Language, timezone: ZoneInfo) -> str:
    """A notice's text. Facts that no template names are never shown, so nothing slips in by its being known."""
    pieces = [
        text[language].format_map({name: _told(name, facts[name], language, timezone) for name in needed})
        for needed, text in TEMPLATES[kind]
        if all(facts.get(name) for name in needed)
    ]
    return _BETWEEN[language].join(pieces)


def render_all(kind: NoticeKind, facts: Mapping[str, Any], timezone: ZoneInfo) -> dict[Language, str]:
    """The text in all languages."""
    return {language: render(kind, facts, language, timezone) for language in LANGUAGES}


def _told(name: str, fact: Any, language: Language, timezone: ZoneInfo) -> str:
    """A fact as people read it; a text in three languages is read in theirs."""
    if name in DAYS:
        return _day(date.fromisoformat(fact), language)
    if name in INSTANTS:
        return _instant(datetime.fromisoformat(fact), language, timezone)
    words = fact.get(language, "") if isinstance(fact, Mapping) else fact
    return " ".join(str(words).split())[:FACT_CHARACTERS_MAX]


def _day(day: date, language: Language) -> str:
    if language == "en":
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    return f"{day.year}年{day.month}月{day.day}日"


def _instant(instant: datetime, language: Language, timezone: ZoneInfo) -> str:
    """To the minute."""
    local = instant.astimezone(timezone)
    between = " at " if language == "en" else " "
    return f"{_day(local.date(), language)}{between}{local.hour:02}:{local.minute:02}"
