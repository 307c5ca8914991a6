"""The sample branches: the committed file is what its script makes, the command reads it, and the service takes it."""

import phonenumbers
import pytest

from deploy.local.branches import read_branches
from deploy.local.failure import CannotStart
from deploy.sandbox.identity.people import SAMPLE_BRANCH
from samples.branches import BRANCHES, FILE, branches_file
from services.fulfillment.branches.schemas import BranchesBody


def test_the_committed_file_is_what_its_script_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == branches_file()


@pytest.mark.proves("F2", "X4")
def test_the_service_takes_every_branch_of_the_file_in_three_languages() -> None:
    items = BranchesBody.model_validate({"items": read_branches(FILE.read_bytes())}).items
    assert [item.code for item in items] == [row.code for row in BRANCHES]
    assert items[0].code == SAMPLE_BRANCH, "where the sample branch staff work"
    for item in items:
        for text in (item.names, item.addresses, item.hours):
            assert text.en.replace("ü", "u").replace("–", "-").isascii()
            assert not text.zh_hans.isascii()
            assert not text.zh_hant.isascii()
        number = str(phonenumbers.parse(item.phone).national_number)
        assert number.startswith("1174960"), "set aside for films and plays"
    assert [item.code for item in items if not item.open] == ["B012"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("code,", "cod,"), "exactly these columns"),
        ((",yes,", ",perhaps,"), "Line 2"),
        ((",120", ",many"), "Line 2"),
        ((",120", ",120,1"), "Line 2"),
        (("B001,", ""), "Line 2"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused_in_a_sentence(change: tuple[str, str], says: str) -> None:
    wrong = branches_file().replace(*change, 1)
    with pytest.raises(CannotStart, match=says):
        read_branches(wrong.encode())


def test_a_file_in_another_encoding_is_refused() -> None:
    with pytest.raises(CannotStart, match="UTF-8"):
        read_branches(branches_file().encode("gb18030"))
