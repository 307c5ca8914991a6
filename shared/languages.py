"""The three languages in which customers and staff are spoken to."""

from collections.abc import Mapping
from typing import Literal, get_args

Language = Literal["zh_hans", "zh_hant", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "zh_hans"

_BY_TAG: dict[str, Language] = {
    "zh": "zh_hans",
    "zh-cn": "zh_hans",
    "zh-sg": "zh_hans",
    "zh-hans": "zh_hans",
    "zh-tw": "zh_hant",
    "zh-hk": "zh_hant",
    "zh-mo": "zh_hant",
    "zh-hant": "zh_hant",
    "en": "en",
}
BCP47: dict[Language, str] = {"zh_hans": "zh-Hans", "zh_hant": "zh-Hant", "en": "en"}

Text = Mapping[Language, str]
"""One sentence or name in all three."""


def choose(accept_language: str | None) -> Language:
    """The best of our languages for an `Accept-Language` header; simplified Chinese where nothing fits."""
    wishes: list[tuple[float, int, Language]] = []
    for order, part in enumerate((accept_language or "").split(",")[:20]):
        tag, _, parameters = part.strip().partition(";")
        known = _match(tag.strip().lower())
        quality = _quality(parameters)
        if known is not None and quality > 0:  # zero says: not this one
            wishes.append((-quality, order, known))
    return min(wishes)[2] if wishes else DEFAULT


def _match(tag: str) -> Language | None:
    """Our language for a tag, dropping subtags from its end: `zh-hant-tw` is `zh-hant`."""
    while tag:
        if tag in _BY_TAG:
            return _BY_TAG[tag]
        tag = tag.rpartition("-")[0]
    return None


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
