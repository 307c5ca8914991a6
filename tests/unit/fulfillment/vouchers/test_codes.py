"""Voucher codes: their alphabet, their check symbol against another implementation, and how they are kept."""

import string
import uuid
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum import luhn

from services.fulfillment.vouchers.codes import ALPHABET, SYMBOLS, CodeSafe, check_symbol, grouped, new_code, normalise
from shared.secrets import Unreadable, Vault, new_key

bodies = st.text(alphabet=ALPHABET, min_size=15, max_size=15)


@pytest.mark.proves("G12", "F3")
@given(st.text(alphabet=ALPHABET, min_size=1, max_size=40))
def test_the_check_symbol_is_that_of_another_implementation(body: str) -> None:
    assert check_symbol(body) == luhn.calc_check_digit(body, ALPHABET)


@pytest.mark.proves("F3")
@given(bodies, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_one_wrong_symbol_is_always_caught(body: str, place: int, wrong: str) -> None:
    code = body + check_symbol(body)
    assume(code[place] != wrong)
    mistyped = code[:place] + wrong + code[place + 1 :]
    assert check_symbol(mistyped[:-1]) != mistyped[-1]


@pytest.mark.proves("G12")
def test_a_code_has_fifteen_random_symbols_of_thirty_two_without_look_alikes() -> None:
    assert len(set(ALPHABET)) == 32
    assert set(string.digits + string.ascii_uppercase) - set(ALPHABET) == set("ILOU")
    codes = [new_code() for _ in range(3_000)]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert len(code) == SYMBOLS == 16
        luhn.validate(code, ALPHABET)
    for place in range(16):  # every symbol turns up in every place: (31/32)^3000 that one is missing by chance
        assert {code[place] for code in codes} == set(ALPHABET)


@pytest.mark.proves("F3")
@given(bodies.map(lambda body: body + check_symbol(body)), st.randoms())
def test_case_spaces_and_hyphens_do_not_matter(code: str, random: Random) -> None:
    typed = "".join(
        random.choice(["", " ", "-", "\u3000"]) + random.choice([symbol, symbol.lower(), chr(ord(symbol) + 0xFEE0)])
        for symbol in code
    )
    assert normalise(typed) == code == normalise(grouped(code))


@pytest.mark.proves("F3")
@pytest.mark.parametrize(
    ("typed", "meant"), [("O", "0"), ("o", "0"), ("I", "1"), ("l", "1"), ("u", "V"), ("О", "0"), ("ß", "SS")]
)
def test_a_look_alike_is_not_taken_for_what_it_looks_like(typed: str, meant: str) -> None:
    assert normalise(typed) != meant


def test_a_code_is_shown_in_groups_of_four() -> None:
    assert grouped("0123456789ABCDEF") == "0123-4567-89AB-CDEF"


@pytest.mark.proves("G12")
def test_an_old_key_still_opens_and_a_new_one_seals() -> None:
    old, new, pepper, one = new_key(), new_key(), new_key(), uuid.uuid4()
    sealed = CodeSafe(Vault({"2025": old}), pepper).seal(one, "7K3M7K3M7K3M7K3M")
    rotated = CodeSafe(Vault({"2026": new, "2025": old}), pepper)
    assert rotated.open(one, sealed) == "7K3M7K3M7K3M7K3M"
    fresh = rotated.seal(one, "7K3M7K3M7K3M7K3M")
    assert CodeSafe(Vault({"2026": new}), pepper).open(one, fresh) == "7K3M7K3M7K3M7K3M"
    with pytest.raises(Unreadable):
        CodeSafe(Vault({"2026": new}), pepper).open(one, sealed)


@pytest.mark.proves("G12")
def test_a_sealed_code_opens_in_its_own_row_alone() -> None:
    safe = CodeSafe(Vault({"k": new_key()}), new_key())
    sealed = safe.seal(uuid.uuid4(), "7K3M7K3M7K3M7K3M")
    assert b"7K3M" not in sealed
    with pytest.raises(Unreadable):
        safe.open(uuid.uuid4(), sealed)


@pytest.mark.proves("G12")
def test_without_the_pepper_a_code_is_not_found() -> None:
    vault = Vault({"k": new_key()})
    one, other = CodeSafe(vault, new_key()), CodeSafe(vault, new_key())
    assert one.look_up("7K3M") == one.look_up("7K3M") != other.look_up("7K3M")
    assert one.look_up("7K3M") != one.fingerprint("7K3M")
