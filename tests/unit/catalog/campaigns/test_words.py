"""Words to find offers by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.campaigns.words import as_tsquery, as_tsvector, words_of


@pytest.mark.proves("K9")
def test_chinese_is_found_by_any_two_characters_in_a_row_and_by_one() -> None:
    assert words_of(["手冲咖啡"]) == sorted(["手", "冲", "咖", "啡", "手冲", "冲咖", "咖啡"])
    assert as_tsquery("咖啡") == "'咖啡'"
    assert as_tsquery("冲咖啡") == "'冲咖' & '咖啡'"
    assert as_tsquery("啡") == "'啡'"


@pytest.mark.proves("K9")
def test_other_scripts_are_found_by_words_whatever_their_case_and_width() -> None:
    assert words_of(["Ｃafé Latte 350ml"]) == ["350ml", "café", "latte"]
    assert as_tsquery("LATTE  ca") == "'latte':* & 'ca':*"
    assert as_tsquery("咖啡Latte") == "'咖啡' & 'latte':*"


def test_marks_alone_look_for_nothing() -> None:
    assert as_tsquery("'); -- & | ! :* \\ ，。") is None


@given(st.text(max_size=80))
def test_no_text_leaves_the_notation(text: str) -> None:
    for word in words_of([text]):
        assert "'" not in word
        assert "\\" not in word
    assert as_tsvector(words_of([text])).count("'") % 2 == 0
