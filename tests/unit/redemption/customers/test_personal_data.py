"""Telephone numbers in one form, masked; contact data that opens where it belongs and nowhere else."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.redemption.customers.domain import Contact, masked_name, masked_phone, normal_name, normal_phone
from services.redemption.customers.personal_data import PersonalData
from shared.secrets import Unreadable, Vault, new_key

CANARY = Contact("金丝雀", "+8613812341234")


@pytest.mark.proves("A1")
@pytest.mark.parametrize(
    "written",
    ["13812341234", "138 1234 1234", "138-1234-1234", "+86 138 1234 1234", "0086 138 1234 1234", "+8613812341234",
     "（138）12341234", "１３８１２３４１２３４", " 13812341234 "],
)  # fmt: skip
def test_a_number_has_one_form_however_it_was_written(written: str) -> None:
    assert normal_phone(written) == "+8613812341234"


@pytest.mark.parametrize(
    ("written", "normal"),
    [("+852 9876 5432", "+85298765432"), ("+44 20 7946 0958", "+442079460958"), ("010-12345678", "+861012345678")],
)
def test_numbers_of_other_places_keep_their_country(written: str, normal: str) -> None:
    assert normal_phone(written) == normal


@pytest.mark.parametrize("written", ["", "123", "not a phone", "+86 138", "99999999999999999999", "+", "13812341234567"])
def test_what_cannot_be_a_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a telephone number"):
        normal_phone(written)


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_number_or_no_number(written: str) -> None:
    try:
        phone = normal_phone(written)
    except ValueError:
        return
    assert normal_phone(phone) == phone


@pytest.mark.proves("A1")
@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("张三", "张三"),
        (" 张　三 ", "张三"),
        ("張三", "張三"),
        ("Ann  Mary\tLEE", "ann mary lee"),
        ("Ａｎｎ Lee", "ann lee"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("José", "josé"),
        ("Jose\u0301", "josé"),
        ("买买提·阿不都", "买买提·阿不都"),
        (" ", ""),
    ],
)
def test_a_name_has_one_form_however_it_was_written(written: str, normal: str) -> None:
    assert normal_name(written) == normal


@given(st.text(max_size=40))
def test_the_one_form_of_a_name_is_its_own_form(written: str) -> None:
    once = normal_name(written)
    assert normal_name(once) == once


@pytest.mark.proves("X6")
@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("+8613812341234", "138****1234"),
        ("+85298765432", "98****32"),
        ("+442079460958", "207****958"),
        ("+6582345678", "82****78"),
    ],
)
def test_a_masked_number_hides_four_digits_at_least(phone: str, masked: str) -> None:
    assert masked_phone(phone) == masked


@pytest.mark.proves("X6")
@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("欧阳小明", "欧***"),
        ("张", "张*"),
        ("张 三", "张*"),
        ("张　三丰", "张**"),
        ("Ann Lee", "A* L*"),
        ("Ann", "A**"),
    ],
)
def test_a_masked_name_shows_the_first_character_or_the_initials(name: str, masked: str) -> None:
    assert masked_name(name) == masked


@given(
    st.text(alphabet=st.characters(categories=["L", "Zs", "Nd"]), min_size=1, max_size=100).filter(lambda name: name.strip())
)
def test_any_name_can_be_masked_and_is_never_shown_whole(name: str) -> None:
    masked = masked_name(name.strip())
    assert masked != name.strip()
    assert "*" in masked


@pytest.mark.proves("X6", "G49")
def test_sealed_contact_data_opens_for_its_customer_and_shows_nothing_to_anybody_else() -> None:
    ours, theirs = uuid.uuid4(), uuid.uuid4()
    data = PersonalData(Vault({"k1": new_key()}), new_key())
    sealed = data.seal(ours, CANARY)
    assert data.open(ours, sealed) == CANARY
    for column in (sealed.data_key, sealed.name, sealed.phone, sealed.phone_lookup):
        assert CANARY.name.encode() not in column and CANARY.phone.encode() not in column
    with pytest.raises(Unreadable):  # the row as it stands, under another id
        data.open(theirs, sealed)
    with pytest.raises(Unreadable):  # one column put into another
        data.open(ours, replace(sealed, name=sealed.phone))
    other = data.seal(theirs, CANARY)
    with pytest.raises(Unreadable):  # one customer's column put into another's row
        data.open(theirs, replace(other, name=sealed.name))
    with pytest.raises(Unreadable):
        data.open(theirs, replace(other, data_key=sealed.data_key))


@pytest.mark.proves("G49")
def test_sealing_again_keeps_the_customer_s_key_and_never_gives_the_same_bytes() -> None:
    ours = uuid.uuid4()
    data = PersonalData(Vault({"k1": new_key()}), new_key())
    first = data.seal(ours, CANARY)
    second = data.seal(ours, CANARY, first.data_key)
    assert second.data_key == first.data_key
    assert second.phone_lookup == first.phone_lookup
    assert second.name != first.name
    assert data.open(ours, second) == CANARY


@pytest.mark.proves("G49")
def test_a_new_service_key_opens_what_the_old_one_sealed_until_the_old_one_is_gone() -> None:
    ours, old, new = uuid.uuid4(), new_key(), new_key()
    index = new_key()
    sealed = PersonalData(Vault({"k1": old}), index).seal(ours, CANARY)
    assert PersonalData(Vault({"k2": new, "k1": old}), index).open(ours, sealed) == CANARY
    with pytest.raises(Unreadable):
        PersonalData(Vault({"k2": new}), index).open(ours, sealed)


def test_the_look_up_needs_the_key() -> None:
    one, other = (PersonalData(Vault({"k1": bytes(32)}), bytes([n]) * 32).phone_lookup(CANARY.phone) for n in (1, 2))
    assert one != other and len(one) == 32
