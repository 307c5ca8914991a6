"""How pages are made: templates, the agent's language, and its way of writing numbers, days and instants."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.console.words.book import knows, say
from shared.languages import BCP47, LANGUAGES, Language

TEMPLATES = Path(__file__).parent / "templates"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
OWN_NAMES: dict[Language, str] = {"zh_hans": "简体中文", "zh_hant": "繁體中文", "en": "English"}
AGES = ((86_400, "age.days"), (3_600, "age.hours"), (60, "age.minutes"))


class Pages:
    """The templates."""

    def __init__(self, address_of: Callable[[str], str], timezone: ZoneInfo) -> None:
        """Days and instants are shown in the bank's time zone."""
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["static"] = address_of
        self._timezone = timezone

    def render(self, template: str, language: Language, **values: Any) -> str:
        """A page or a part of one."""
        shown: dict[str, Any] = {
            "t": Teller(language),
            "number": lambda value: f"{value:,}",
            "day": lambda value: self.day(value, language),
            "instant": lambda value: self.instant(value, language),
            "age": lambda seconds: age_in_words(seconds, language),
            "money": money,
            "in_language": lambda text: text_in(text, language),
            "known": knows,
            "last_day": lambda value: self.last_day(value, language),
            "say_parcel": lambda parcel: parcel_in_words(parcel, language),
            "language": language,
            "language_tag": BCP47[language],
            "languages": [(each, OWN_NAMES[each], BCP47[each]) for each in LANGUAGES],
        }
        return self._environment.get_template(template).render(**shown, **values)

    def day(self, value: str | date, language: Language) -> str:
        """A day as it is written: 2026年11月22日, or 22 Nov 2026."""
        on = date.fromisoformat(value) if isinstance(value, str) else value
        return _day(on, language)

    def instant(self, value: str | datetime, language: Language) -> str:
        """An instant in the bank's time zone, to the minute."""
        at = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(self._timezone)
        between = ", " if language == "en" else " "
        return f"{_day(at.date(), language)}{between}{at:%H:%M}"

    def last_day(self, until: str, language: Language) -> str:
        """The last day on which something is good that ends at this instant, which is not part of it."""
        last = datetime.fromisoformat(until).astimezone(self._timezone) - timedelta(microseconds=1)
        return _day(last.date(), language)


class Teller:
    """`t("find.title")` in a template: the words of the agent's language."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def __call__(self, key: str, **facts: Any) -> str:
        """The sentence. Facts are plain text; the template escapes the whole. Raises KeyError for an unknown key."""
        return say(self._language, key, **facts)


def _day(on: date, language: Language) -> str:
    if language == "en":
        return f"{on.day} {MONTHS[on.month - 1]} {on.year}"
    return f"{on.year}年{on.month}月{on.day}日"


def age_in_words(seconds: float, language: Language) -> str:
    """How long ago, in the largest unit that fits: three days, two hours, a minute."""
    for length, key in AGES:
        if seconds >= length:
            return say(language, key, n=int(seconds // length))
    return say(language, "age.moment")


def money(amount: Mapping[str, Any]) -> str:
    """An amount in the minor unit of its currency, such as CNY 50.00."""
    minor = int(amount["amount_minor"])
    return f"{amount['currency']} {minor // 100:,}.{minor % 100:02d}"


def text_in(text: Any, language: Language) -> str:
    """A text that a service sends in three languages, or in the asked one already."""
    return str(text[language]) if isinstance(text, Mapping) else str(text)


def parcel_in_words(parcel: Mapping[str, Any], language: Language) -> str:
    """Where a parcel is, as a sentence to be read out; what is new to us, in the service's own words."""
    key = f"parcels.say.{parcel['way']}.{parcel['state']}"
    branch = parcel["branch"]
    place = (text_in(branch["names"], language) if branch["names"] else branch["code"]) if branch else ""
    return say(language, key, branch=place) if knows(key) else text_in(parcel["state_words"], language)
