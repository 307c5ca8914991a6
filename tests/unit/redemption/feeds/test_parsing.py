"""What stands in a feed, and every error in it at once."""

import contextlib
from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.redemption.feeds.domain import (
    BYTES_MAX,
    ERRORS_MAX,
    LINES_MAX,
    FeedKind,
    FeedRejected,
    parse_customers,
    parse_points,
)
from services.redemption.problems import CATALOGUE
from shared.languages import LANGUAGES

PEOPLE = "customer_number,subject,name,phone,tier,language"
POINTS = "customer_number,points,expires_on,reference"
ONE = "C1,s1,张三,13812341234,gold,zh_hans"


def people(*lines: str) -> str:
    return "\n".join([PEOPLE, *lines]) + "\n"


def points(*lines: str, total: str | None = None) -> str:
    return "\n".join([POINTS, *lines, *([f"#total,{total}"] if total else [])]) + "\n"


def errors_of(content: str | bytes, kind: FeedKind = "customers") -> list[tuple[str, str]]:
    """(where, code) of everything that was found."""
    body = content.encode() if isinstance(content, str) else content
    with pytest.raises(FeedRejected) as refused:
        parse_customers(body) if kind == "customers" else parse_points(kind, body)
    for error in refused.value.fields:
        for language in LANGUAGES:
            sentence = CATALOGUE.sentence_of(error, language)
            assert sentence and "{" not in sentence
    return [(error.field, error.code) for error in refused.value.fields]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_file_is_read_in_each_encoding_and_with_each_kind_of_line_end(encoding: str, ending: str) -> None:
    content = people(ONE, 'C2,s2,"Lee, Ann",+852 9876 5432,silver,en').replace("\n", ending).encode(encoding)
    first, second = parse_customers(content)
    assert (first.contact.name, first.contact.phone, first.language) == ("张三", "+8613812341234", "zh_hans")
    assert (second.contact.name, second.contact.phone, second.line) == ("Lee, Ann", "+85298765432", 3)


def test_contact_data_does_not_show_in_a_line_s_text() -> None:
    [line] = parse_customers(people(ONE).encode())
    assert "张三" not in repr(line) and "138" not in repr(line)
    assert "张三" not in repr(line.contact) and "138" not in repr(line.contact)


@pytest.mark.proves("X4")
def test_all_errors_of_a_file_of_customers_come_at_once_by_line_and_column() -> None:
    content = people(ONE, "C1,s1,李四,13812341235,gold,xx", "C 3,,,12,金,en", "C4,s4,王五", "C5,s5,\x1b[1m,13812341236,gold,en")
    assert sorted(errors_of(content)) == sorted([
        ("line 3: language", "not-allowed"), ("line 3: customer_number", "repeated"), ("line 3: subject", "repeated"),
        ("line 4: customer_number", "not-allowed"), ("line 4: subject", "missing"), ("line 4: name", "missing"),
        ("line 4: phone", "not-a-phone"), ("line 4: tier", "not-allowed"), ("line 5: line", "wrong-columns"),
        ("line 6: name", "not-allowed"),
    ])  # fmt: skip


@pytest.mark.proves("X4")
def test_all_errors_of_a_file_of_points_come_at_once_by_line_and_column() -> None:
    content = points(
        "C1,10,2030-12-31,a", "C1,10,2030-12-31,a", "C2,0,2030-02-30,b", "C2,-5,2030-W01-1,c", "C2,1.5,20301231,d",
        "C2,１０,2030-1-1,", ",1000000000001,2030-12-31,f", total="7,100",
    )  # fmt: skip
    assert sorted(errors_of(content, "earned-points")) == sorted([
        ("line 3: reference", "repeated"), ("line 4: points", "not-a-number"), ("line 4: expires_on", "not-a-date"),
        ("line 5: points", "not-a-number"), ("line 5: expires_on", "not-a-date"), ("line 6: points", "not-a-number"),
        ("line 6: expires_on", "not-a-date"), ("line 7: points", "not-a-number"), ("line 7: expires_on", "not-a-date"),
        ("line 7: reference", "missing"), ("line 8: customer_number", "missing"), ("line 8: points", "not-a-number"),
    ])  # fmt: skip


def test_a_file_of_points_is_read_when_its_control_line_fits() -> None:
    lines = parse_points(
        "opening-balances", points("C1,10,2030-12-31,a", "C2,1000000000000,2027-02-28,a", total="2,1000000000010").encode()
    )
    assert [(line.customer_number, line.points, line.expires_on, line.reference) for line in lines] == [
        ("C1", 10, date(2030, 12, 31), "a"), ("C2", 10**12, date(2027, 2, 28), "a")
    ]  # fmt: skip


@pytest.mark.proves("P6")
@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (None, ("line 3: #total", "missing")),  # cut short: nothing says so but the missing control line
        ("1,30", ("line 4: #total", "wrong-total")),
        ("2,31", ("line 4: #total", "wrong-total")),
        ("2", ("line 4: #total", "wrong-total")),
        ("2,30,0", ("line 4: #total", "wrong-total")),
    ],
)
def test_a_file_of_points_without_a_fitting_control_line_is_refused(total: str | None, expected: tuple[str, str]) -> None:
    assert errors_of(points("C1,10,2030-12-31,a", "C2,20,2030-12-31,b", total=total), "opening-balances") == [expected]


def test_nothing_may_follow_the_control_line() -> None:
    content = points("C1,10,2030-12-31,a", "#total,2,30", "C2,20,2030-12-31,b")
    assert errors_of(content, "earned-points") == [("line 4: customer_number", "not-allowed")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "wrong-header"), (b"a,b\n", "wrong-header"), (PEOPLE.upper().encode(), "wrong-header"),
        (b"\xff\xff\xff", "not-text"),
        (people(ONE).encode("utf-16"), "not-text"), (PEOPLE.encode() + b"\n\x00", "not-text"),
        (f'{PEOPLE}\n"{"x" * 200_000}'.encode(), "wrong-columns"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused_in_one_error(content: bytes, code: str) -> None:
    [(_, found)] = errors_of(content)
    assert found == code


def test_a_file_has_at_most_ten_thousand_lines() -> None:
    def content(count: int) -> str:
        return people(*(f"C{n},s{n},张三,13812341234,gold,en" for n in range(count)))

    assert len(parse_customers(content(LINES_MAX).encode())) == LINES_MAX
    assert errors_of(content(LINES_MAX + 1)) == [(f"line {LINES_MAX + 2}", "too-many-lines")]


def test_of_very_many_errors_two_hundred_are_told() -> None:
    assert len(errors_of(people(*["x"] * 500))) == ERRORS_MAX


FIELDS = st.text(max_size=12) | st.sampled_from(
    ["C1", "#total", "2030-12-31", "10", "en", "13812341234", '"', "\r", "\ufeff", "𠮷"]
)
FILES = st.lists(st.lists(FIELDS, max_size=7).map(",".join), max_size=6).map("\n".join)


@pytest.mark.proves("X4")
@given(kind=st.sampled_from(get_args(FeedKind)), head=st.booleans(), body=FILES, encoding=st.sampled_from(["utf-8", "gb18030"]))
@example(kind="customers", head=True, body='"' + "x" * 140_000, encoding="utf-8")
def test_no_text_makes_the_reader_stumble(kind: FeedKind, head: bool, body: str, encoding: str) -> None:
    header = (PEOPLE if kind == "customers" else POINTS) + "\n" if head else ""
    _read(kind, (header + body).encode(encoding, "surrogatepass" if encoding == "utf-8" else "replace"))


@pytest.mark.proves("X4")
@given(kind=st.sampled_from(get_args(FeedKind)), head=st.booleans(), body=st.binary(max_size=400))
def test_no_bytes_make_the_reader_stumble(kind: FeedKind, head: bool, body: bytes) -> None:
    header = ((PEOPLE if kind == "customers" else POINTS) + "\n").encode() if head else b""
    _read(kind, header + body)


def _read(kind: FeedKind, content: bytes) -> None:
    assert len(content) < BYTES_MAX
    lines: list[Any] = []
    with contextlib.suppress(FeedRejected):  # and nothing else
        lines = [*parse_customers(content)] if kind == "customers" else [*parse_points(kind, content)]
    for line in lines:
        repr(line).encode()  # whatever was let through can be written down
        if kind == "customers":
            line.contact.name.encode()
