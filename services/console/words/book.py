"""Looks up what the console says: a key, a language, and the facts that stand in the sentence."""

from typing import Any

from services.console.words import common, customers, desks, problems
from shared.languages import LANGUAGES, Language

Words = dict[str, tuple[str, str, str]]
"""By key: simplified Chinese, traditional Chinese, English, in the order of `LANGUAGES`."""

BOOK: Words = {**common.WORDS, **customers.WORDS, **desks.WORDS, **problems.WORDS}
_COLUMN = {language: column for column, language in enumerate(LANGUAGES)}


def say(language: Language, key: str, **facts: Any) -> str:
    """The sentence; one thing has a sentence of its own where the language wants it. Raises KeyError for an unknown key."""
    if facts.get("n") == 1 and f"{key}.one" in BOOK:
        key = f"{key}.one"
    return BOOK[key][_COLUMN[language]].format(**facts)


def knows(key: str) -> bool:
    """Whether there is such a key, for words that follow what a service sends."""
    return key in BOOK
