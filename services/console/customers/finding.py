"""What an agent typed into the one search box: a telephone number, a customer number, or a name."""

import re

TERM_CHARACTERS_MAX = 64
_PHONE = re.compile(r"\+?[\d\s().-]{5,32}")
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,32}")


def kinds_of(term: str) -> list[str]:
    """As what to look for it, the likeliest first: the first kind that finds somebody is meant."""
    digits = sum(character.isdigit() for character in term)
    kinds = []
    if _PHONE.fullmatch(term) and digits >= 5:
        kinds.append("phone")
    if _NUMBER.fullmatch(term) and digits:
        kinds.append("customer_number")
    if not digits:
        kinds.append("name")
    return kinds or ["name"]
