"""The workbook: every error at once by sheet, row and column; the same cells back; nothing dangerous gets in."""

import contextlib
import dataclasses
import datetime as dt
import io
import re
import string
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.campaigns.domain import BUDGET_LINES, RewardKind, Way
from services.catalog.workbooks import checks, reading
from services.catalog.workbooks.building import build_content, fingerprint
from services.catalog.workbooks.cells import is_printable
from services.catalog.workbooks.domain import parse_workbook
from services.catalog.workbooks.errors import DETAILS, ERRORS_MAX, WorkbookError, WorkbookRefused
from services.catalog.workbooks.sheets import SHEETS, Cells, Column, Kind
from services.catalog.workbooks.writing import write_workbook
from shared.languages import LANGUAGES
from tests.support.catalog import (
    batch_row,
    campaign_row,
    merchant_row,
    offer_row,
    reward_row,
    row,
    workbook_cells,
)


def errors_of(body: bytes) -> list[WorkbookError]:
    with pytest.raises(WorkbookRefused) as refused:
        parse_workbook(body)
    return list(refused.value.errors)


def places(errors: Sequence[WorkbookError]) -> list[tuple[Any, ...]]:
    return [(e.sheet, e.row, e.column, e.code) for e in errors]


def edited(change: Callable[[openpyxl.Workbook], None], **sheets: Any) -> bytes:
    """A good workbook after somebody has been at it."""
    workbook = openpyxl.load_workbook(io.BytesIO(write_workbook(workbook_cells(**sheets))))
    change(workbook)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def position(sheet: str, column: str) -> int:
    return [c.name for c in next(s for s in SHEETS if s.name == sheet).columns].index(column) + 1


def set_cell(sheet: str, line: int, column: str, value: Any) -> Callable[[openpyxl.Workbook], None]:
    def change(workbook: openpyxl.Workbook) -> None:
        names = [cell.value for cell in workbook[sheet][1]]
        workbook[sheet].cell(line, names.index(column) + 1).value = value

    return change


@pytest.mark.proves("C6")
def test_a_good_workbook_has_no_errors_and_says_what_was_planned() -> None:
    content = build_content(parse_workbook(write_workbook(workbook_cells())).cells)
    offer = content.offers[0]
    assert (content.campaign.code, content.campaign.sample) == ("TEST-2026", True)
    assert (offer.reward, offer.price_points, offer.opens_on) == ("R1", 1000, content.campaign.opens_on)
    assert content.rewards[0].kind is RewardKind.E_VOUCHER
    assert content.rewards[0].voucher is not None
    assert content.rewards[0].voucher.merchants == ("M001",)
    assert (content.batches[0].quantity, content.terminals[0].code) == (100, "T01")


@pytest.mark.proves("C6", "X4")
def test_errors_of_every_kind_come_at_once_in_the_order_of_the_workbook() -> None:
    def spoil(workbook: openpyxl.Workbook) -> None:
        set_cell("campaign", 2, "closes_on", dt.date(2025, 12, 31))(workbook)
        set_cell("rewards", 2, "name_zh_hant", None)(workbook)
        set_cell("rewards", 2, "market_value_minor", 12.5)(workbook)
        set_cell("offers", 2, "price_points", "1000")(workbook)
        set_cell("offers", 3, "reward", "R7")(workbook)
        set_cell("offers", 3, "code", "O1")(workbook)
        workbook.create_sheet("suppliers")
        del workbook["terminals"]
        workbook["merchants"].cell(1, 1).value = "number"

    body = edited(spoil, offers=[offer_row("O1"), offer_row("O2")], merchants=[merchant_row("M001")])
    assert places(errors_of(body)) == [
        ("suppliers", None, None, "sheet-unknown"),
        ("campaign", 2, "closes_on", "window-reversed"),
        ("rewards", 2, "name_zh_hant", "required"),
        ("rewards", 2, "market_value_minor", "not-whole"),
        ("offers", 2, "price_points", "not-whole"),
        ("offers", 3, "code", "twice"),
        ("offers", 3, "reward", "unknown-reference"),
        ("merchants", 1, "number", "column-unknown"),
        ("merchants", 1, "code", "column-missing"),
        ("terminals", None, None, "sheet-missing"),
    ], "O1 stands twice although its first row has a fault; and M001 is not called unknown"


@pytest.mark.proves("C6")
@pytest.mark.parametrize(
    ("sheets", "expected"),
    [
        ({"offers": [offer_row("O1"), offer_row("O2"), offer_row("O1")]}, ("offers", 4, "code", "twice")),
        ({"offers": [offer_row(opens_on="2025-12-31")]}, ("offers", 2, "opens_on", "outside-campaign")),
        ({"offers": [offer_row(closes_on="2031-01-01")]}, ("offers", 2, "closes_on", "outside-campaign")),
        ({"offers": []}, ("offers", None, None, "sheet-empty")),
        ({"campaign": [campaign_row(), campaign_row()]}, ("campaign", 3, None, "too-many-rows")),
        ({"campaign": [campaign_row(currency="cny")]}, ("campaign", 2, "currency", "bad-form")),
        ({"campaign": [campaign_row(code="autumn")]}, ("campaign", 2, "code", "bad-code")),
        ({"rewards": [reward_row(valid_days=None)]}, ("rewards", 2, "valid_days", "needed-for-voucher")),
        ({"rewards": [reward_row(merchants="M001; M999")]}, ("rewards", 2, "merchants", "unknown-reference")),
        ({"rewards": [reward_row(category="cars")]}, ("rewards", 2, "category", "not-a-choice")),
        ({"rewards": [reward_row(features_en="wide")]}, ("rewards", 2, "features_zh_hans", "languages-incomplete")),
        ({"rewards": [reward_row(name_en="x" * 121)]}, ("rewards", 2, "name_en", "too-long")),
        ({"rewards": [reward_row(name_en="a\u202eb")]}, ("rewards", 2, "name_en", "bad-characters")),
        ({"rewards": [reward_row(image="javascript:x")]}, ("rewards", 2, "image", "bad-form")),
        ({"stock_batches": [batch_row(quantity=10_000_001)]}, ("stock_batches", 2, "quantity", "out-of-range")),
        ({"merchants": [merchant_row(accepts_vouchers="no")]}, ("rewards", 2, "merchants", "merchant-without-vouchers")),
        ({"merchants": [merchant_row(contract_until="2025-01-01")]}, ("merchants", 2, "contract_until", "window-reversed")),
        ({"terminals": [row("terminals", merchant="M002", code="T01", location="x")]},
         ("terminals", 2, "merchant", "unknown-reference")),
        ({"budget": [row("budget", line="other", amount_minor=1)] * 2}, ("budget", 3, "line", "twice")),
    ],
)  # fmt: skip
def test_one_fault_is_one_error_at_its_place(sheets: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert places(errors_of(write_workbook(workbook_cells(**sheets)))) == [expected]


@pytest.mark.proves("K1", "K2")
def test_paper_vouchers_may_be_planned_but_not_offered_while_nobody_can_deliver_them() -> None:
    paper = reward_row("R2", kind="paper_voucher")
    content = build_content(parse_workbook(write_workbook(workbook_cells(rewards=[reward_row(), paper]))).cells)
    assert [reward.delivery for reward in content.rewards] == [(Way.WALLET,), ()]
    offered = workbook_cells(rewards=[reward_row(), paper], offers=[offer_row(reward="R2")])
    assert places(errors_of(write_workbook(offered))) == [("offers", 2, "reward", "not-deliverable")]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("price_points", "=1+1", "formula"),
        ("price_points", True, "not-whole"),
        ("price_points", 1e30, "not-whole"),
        ("opens_on", "2026-09-01", "not-a-day"),
        ("opens_on", dt.datetime(2026, 9, 1, 10, 30), "not-a-day"),  # noqa: DTZ001 - spreadsheets know no zones
        ("opens_on", 46_266, "not-a-day"),
        ("opens_on", dt.date(1999, 12, 31), "day-out-of-range"),
        ("code", 1001, "not-text"),
        ("code", "#REF!", "cell-error"),
    ],
)
@pytest.mark.proves("C6")
def test_a_cell_of_the_wrong_kind_is_named(column: str, value: object, code: str) -> None:
    def spoil(workbook: openpyxl.Workbook) -> None:
        cell = workbook["offers"].cell(2, position("offers", column))
        cell.number_format = "General"
        cell.value = value  # type: ignore[assignment]
        if code == "cell-error":
            cell.data_type = "e"

    assert places(errors_of(edited(spoil))) == [("offers", 2, column, code)]


@pytest.mark.proves("C6")
def test_a_fault_in_a_cell_hides_no_other_fault_of_its_row_and_makes_none() -> None:
    def spoil(workbook: openpyxl.Workbook) -> None:
        set_cell("rewards", 2, "kind", "gadget")(workbook)
        set_cell("rewards", 3, "valid_days", "ninety")(workbook)
        set_cell("rewards", 3, "merchants", "M777")(workbook)
        set_cell("campaign", 2, "opens_on", "soon")(workbook)

    body = edited(spoil, rewards=[reward_row("R1", face_value_minor=None), reward_row("R2")])
    assert places(errors_of(body)) == [
        ("campaign", 2, "opens_on", "not-a-day"),
        ("rewards", 2, "kind", "not-a-choice"),
        ("rewards", 3, "valid_days", "not-whole"),
        ("rewards", 3, "merchants", "unknown-reference"),
    ]


def test_content_beside_the_columns_is_said_once_and_not_lost_in_silence() -> None:
    def spoil(workbook: openpyxl.Workbook) -> None:
        for line in (2, 3):
            workbook["budget"].cell(line, 9).value = "do not forget!"

    body = edited(spoil, budget=[row("budget", line=line, amount_minor=1) for line in BUDGET_LINES[:2]])
    assert places(errors_of(body)) == [("budget", 2, "I", "column-unnamed")]


def test_columns_may_stand_in_any_order_and_rows_may_be_left_empty() -> None:
    def shuffle(workbook: openpyxl.Workbook) -> None:
        sheet = workbook["stock_batches"]
        sheet.move_range(f"A1:A{sheet.max_row}", cols=9)
        sheet.insert_rows(2, amount=3)

    cells = workbook_cells(stock_batches=[batch_row("B1"), batch_row("B2")])
    parsed = parse_workbook(edited(shuffle, stock_batches=cells["stock_batches"]))
    assert parsed.cells == cells
    assert parsed.numbers["stock_batches"] == [5, 6]


def test_text_is_trimmed_and_composed_so_that_equal_looks_are_equal() -> None:
    def spoil(workbook: openpyxl.Workbook) -> None:
        set_cell("rewards", 2, "name_en", "  Cafe\u0301\u3000")(workbook)

    assert parse_workbook(edited(spoil)).cells["rewards"][0]["name_en"] == "Caf\u00e9"


@pytest.mark.proves("G42")
def test_a_small_file_that_unpacks_to_a_large_one_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (reading.UNPACKED_BYTES_MAX + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    assert len(bomb.getvalue()) < 100_000
    assert places(errors_of(bomb.getvalue())) == [(None, None, None, "workbook-too-large")]


@pytest.mark.proves("G42")
@pytest.mark.parametrize(
    ("part", "content", "code"),
    [
        ("xl/vbaProject.bin", b"x", "workbook-unsafe"),
        ("xl/externalLinks/externalLink1.xml", b"<x/>", "workbook-unsafe"),
        ("xl/extra.xml", b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', "workbook-unsafe"),
        ("xl/extra.xml", '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x>'.encode("utf-16"), "workbook-unsafe"),
    ],
)
def test_macros_links_and_entity_declarations_are_refused(part: str, content: bytes, code: str) -> None:
    body = io.BytesIO(write_workbook(workbook_cells()))
    with zipfile.ZipFile(body, "a") as archive:
        archive.writestr(part, content)
    assert places(errors_of(body.getvalue())) == [(None, None, None, code)]


@pytest.mark.proves("G42")
def test_a_row_far_below_and_a_column_far_out_end_the_reading() -> None:
    def far(workbook: openpyxl.Workbook) -> None:
        workbook["budget"].cell(1_048_576, 1).value = "x"
        workbook["terminals"].cell(2, 16_384).value = "x"
        workbook["merchants"].cell(1, 65).value = "x"

    found = places(errors_of(edited(far, budget=[row("budget", line="other", amount_minor=1)])))
    assert found == [
        ("merchants", 1, None, "too-many-columns"),
        ("terminals", 2, None, "too-many-columns"),
        ("budget", reading.LAST_ROW_MAX + 1, None, "too-many-rows"),
    ]


def test_a_file_that_lies_about_its_size_loses_no_rows() -> None:
    body = io.BytesIO(write_workbook(workbook_cells(stock_batches=[batch_row("B1"), batch_row("B2", quantity=-5)])))
    lying = io.BytesIO()
    with zipfile.ZipFile(body) as source, zipfile.ZipFile(lying, "w") as target:
        for part in source.infolist():
            content = source.read(part)
            target.writestr(part, re.sub(rb'<dimension ref="[^"]*"/>', b'<dimension ref="A1:B2"/>', content))
    assert places(errors_of(lying.getvalue())) == [("stock_batches", 3, "quantity", "out-of-range")]


@pytest.mark.proves("G42")
@given(st.binary(max_size=200), st.integers(0, 5_000), st.integers(1, 40))
def test_a_damaged_file_is_refused_and_never_breaks_the_reader(noise: bytes, start: int, cut: int) -> None:
    body = write_workbook(workbook_cells())
    damaged = body[:start] + noise + body[start + cut :]
    with contextlib.suppress(WorkbookRefused):
        parse_workbook(damaged)


def test_past_two_thousand_errors_the_rest_is_counted() -> None:
    offers = [offer_row(f"O{n}", "R404") for n in range(1, ERRORS_MAX + 100)]
    errors = errors_of(write_workbook(workbook_cells(offers=offers)))
    assert len(errors) == ERRORS_MAX + 1
    assert (errors[-1].code, errors[-1].facts["count"]) == ("too-many-errors", 99)


@pytest.mark.proves("C6")
def test_what_looks_like_a_formula_is_written_as_text_and_comes_back_as_text() -> None:
    cells = workbook_cells(rewards=[reward_row(name='=HYPERLINK("http://x","y")', description="+1-2@x")])
    body = write_workbook(cells)
    written = openpyxl.load_workbook(io.BytesIO(body))["rewards"].cell(2, position("rewards", "name_en"))
    assert written.data_type == "s"
    assert parse_workbook(body).cells == cells


def test_every_error_is_said_in_every_language_with_its_facts() -> None:
    facts = dict.fromkeys(
        ("limit", "part", "name", "known", "least", "most", "value", "low", "high", "choices", "first", "target", "merchant",
         "reward", "batch", "currency", "count"), "?"
    )  # fmt: skip
    for code, texts in DETAILS.items():
        assert set(texts) == set(LANGUAGES), code
        assert len({text.format_map(facts) for text in texts.values()}) >= 2, code


def test_errors_name_only_columns_of_the_table() -> None:
    assert set(checks.VOUCHER_COLUMNS) <= {column.name for column in next(s for s in SHEETS if s.name == "rewards").columns}
    for sheet in SHEETS:
        assert set(sheet.key) <= set(sheet.by_name)
        for column in sheet.columns:
            assert column.references is None or column.references in {other.name for other in SHEETS}


# --- the same cells back, whatever was planned -----------------------------------------------------------------------

TEXTS = (
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=40)
    .map(lambda text: __import__("unicodedata").normalize("NFC", text).strip())
    .filter(lambda text: bool(text) and len(text) <= 60 and is_printable(text))
)
CODES = st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=6)
DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2030, 12, 31)).map(dt.date.isoformat)


def value_of(column: Column, data: st.DataObject, codes: Mapping[str, Sequence[str]]) -> Any:
    if not column.required and data.draw(st.booleans()):
        return None
    if column.kind is Kind.CHOICES:
        return ";".join(data.draw(st.lists(st.sampled_from(column.choices), min_size=1, unique=True)))
    if column.references is not None:
        chosen = data.draw(st.lists(st.sampled_from(codes[column.references]), min_size=1, max_size=3))
        return "; ".join(chosen) if column.kind is Kind.CODES else chosen[0]
    if column.pattern is not None:
        return data.draw(st.from_regex(column.pattern, fullmatch=True).filter(lambda text: len(text) <= column.high))
    return data.draw(
        {
            Kind.WHOLE: st.integers(column.low, column.high),
            Kind.DAY: DAYS,
            Kind.CHOICE: st.sampled_from(column.choices or ("",)),
            Kind.CODE: CODES,
            Kind.TEXT: TEXTS,
        }[column.kind]
    )


def rows_of(sheet: str, codes: Sequence[str], data: st.DataObject, known: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    columns = next(s for s in SHEETS if s.name == sheet).columns
    return [{c.name: code if c.name == "code" else value_of(c, data, known) for c in columns} for code in codes]


def made_consistent(cells: dict[str, list[dict[str, Any]]]) -> Cells:
    """What chance does not know: windows go forward, vouchers are whole, what is delivered is goods."""
    cells["campaign"][0].update(opens_on="2026-01-01", closes_on="2030-12-31")
    for merchant in cells["merchants"]:
        merchant.update(accepts_vouchers="yes", contract_from="2026-01-01", contract_until="2030-12-31")
    for offer in cells["offers"]:
        offer.update(opens_on=None, closes_on=None)
    template = reward_row()
    for reward in cells["rewards"]:
        reward["kind"] = "e_voucher"
        for column in (*checks.VOUCHER_COLUMNS, *(f"features_{language}" for language in LANGUAGES)):
            reward[column] = reward[column] if reward[column] is not None else template[column] or "x"
        reward["merchants"] = cells["merchants"][0]["code"]
        if reward["delivery"] is not None:
            reward.update(dict.fromkeys(checks.VOUCHER_COLUMNS), kind="goods")
    return cells


@pytest.mark.proves("C6")
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_plan_written_and_read_again_is_the_same_plan(data: st.DataObject) -> None:
    codes: dict[str, list[str]] = {
        sheet: data.draw(st.lists(CODES, min_size=1, max_size=4, unique=True), label=sheet)
        for sheet in ("rewards", "offers", "stock_batches", "merchants")
    }
    cells = {sheet: rows_of(sheet, found, data, codes) for sheet, found in codes.items()}
    cells["campaign"] = rows_of("campaign", [data.draw(CODES)], data, codes)
    cells["terminals"] = rows_of("terminals", ["T01"], data, codes)
    lines = data.draw(st.lists(st.sampled_from(BUDGET_LINES), unique=True))
    cells["budget"] = [row("budget", line=line, amount_minor=data.draw(st.integers(0, 10**12))) for line in lines]
    plan = made_consistent(cells)
    body = write_workbook(plan)
    parsed = parse_workbook(body)
    assert parsed.cells == plan
    assert fingerprint(parsed.cells) == fingerprint(plan)
    assert write_workbook(parsed.cells) == body
    assert dataclasses.is_dataclass(build_content(parsed.cells))


def test_a_workbook_made_by_another_program_reads_the_same() -> None:
    """Numbers with a decimal point, inline strings and a day as a plain date: what other spreadsheets write."""
    out = io.BytesIO()
    workbook = xlsxwriter.Workbook(out, {"in_memory": True, "constant_memory": True})  # inline strings
    day = workbook.add_format({"num_format": "d/m/yyyy"})
    cells = workbook_cells()
    for sheet in SHEETS:
        if sheet.name == "budget":
            continue
        page = workbook.add_worksheet(sheet.name)
        for place, column in enumerate(sheet.columns):
            page.write_string(0, place, column.name)
        for number, found in enumerate(cells[sheet.name], start=1):
            for place, column in enumerate(sheet.columns):
                value = found[column.name]
                if isinstance(value, int):
                    page.write_number(number, place, float(value))
                elif value is not None and column.kind is Kind.DAY:
                    page.write_datetime(number, place, dt.datetime.fromisoformat(str(value)), day)
                elif value is not None:
                    page.write_string(number, place, value)
    workbook.close()
    assert parse_workbook(out.getvalue()).cells == cells
