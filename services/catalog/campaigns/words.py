"""Words to find offers by, in Chinese and English (K9).

Chinese is written without spaces: each run of characters is indexed by its single characters and its pairs, and a query by its
pairs, so that any part of a name finds it. Everything else is indexed by words.
"""

import re
import unicodedata
from collections.abc import Iterable

QUERY_WORDS_MAX = 16
WORD_CHARACTERS_MAX = 60

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]")


def words_of(texts: Iterable[str]) -> list[str]:
    """Everything by which the texts can be found."""
    found: set[str] = set()
    for run in _runs(" ".join(texts)):
        if _IS_HAN.match(run):
            found.update(run)
            found.update(_pairs(run))
        else:
            found.add(run)
    return sorted(found)


def as_tsvector(words: Iterable[str]) -> str:
    """The words in the notation of PostgreSQL's tsvector; they hold letters and digits only, so nothing needs escaping."""
    return " ".join(f"'{word}'" for word in words)


def as_tsquery(query: str) -> str | None:
    """What a person typed, in the notation of tsquery: every word must be there, the beginning of a word suffices.

    None when there is nothing to look for in it.
    """
    terms: list[str] = []
    for run in _runs(query):
        if _IS_HAN.match(run):
            terms += [f"'{pair}'" for pair in (_pairs(run) or [run])]
        else:
            terms.append(f"'{run}':*")
    return " & ".join(dict.fromkeys(terms[:QUERY_WORDS_MAX])) or None


def _runs(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [run[:WORD_CHARACTERS_MAX] for run in _RUNS.findall(plain)]


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)]
