"""The column that says how goods can be delivered: what it may hold, and workbooks that do not have it."""

import io
from typing import Any

import openpyxl
import pytest

from services.catalog.campaigns.domain import Way
from services.catalog.workbooks.building import build_content, fingerprint
from services.catalog.workbooks.domain import parse_workbook
from services.catalog.workbooks.errors import WorkbookRefused
from services.catalog.workbooks.writing import write_workbook
from tests.support.catalog import goods_row, offer_row, reward_row, workbook_cells


@pytest.mark.proves("C6", "K1", "K2")
@pytest.mark.parametrize(
    ("said", "ways"),
    [
        (None, (Way.COURIER, Way.PICKUP)),
        ("courier", (Way.COURIER,)),
        ("pickup", (Way.PICKUP,)),
        ("pickup; courier", (Way.COURIER, Way.PICKUP)),
    ],
)
def test_goods_may_be_offered_and_say_how_they_can_be_delivered(said: str | None, ways: tuple[Way, ...]) -> None:
    cells = workbook_cells(rewards=[reward_row(), goods_row("R2", delivery=said)], offers=[offer_row(), offer_row("O2", "R2")])
    parsed = parse_workbook(write_workbook(cells))
    assert parsed.cells == cells
    assert [reward.delivery for reward in build_content(parsed.cells).rewards] == [(Way.WALLET,), ways]


@pytest.mark.proves("C6", "X4")
@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (goods_row("R2", delivery="drone"), ("rewards", 3, "delivery", "not-some-choices")),
        (goods_row("R2", delivery="courier; COURIER"), ("rewards", 3, "delivery", "not-some-choices")),
        (goods_row("R2", delivery="courier;"), ("rewards", 3, "delivery", "not-some-choices")),
        (goods_row("R2", delivery="wallet"), ("rewards", 3, "delivery", "not-some-choices")),
        (reward_row("R2", delivery="courier"), ("rewards", 3, "delivery", "only-for-goods")),
        (reward_row("R2", kind="paper_voucher", delivery="pickup"), ("rewards", 3, "delivery", "only-for-goods")),
        (goods_row("R2", valid_days=3), ("rewards", 3, "valid_days", "not-for-goods")),
        (goods_row("R2", terms_en="Use it"), ("rewards", 3, "terms_en", "not-for-goods")),
    ],
)
def test_a_wrong_way_of_delivery_is_named(reward: dict[str, Any], expected: tuple[Any, ...]) -> None:
    with pytest.raises(WorkbookRefused) as refused:
        parse_workbook(write_workbook(workbook_cells(rewards=[reward_row(), reward])))
    assert [(e.sheet, e.row, e.column, e.code) for e in refused.value.errors] == [expected]


@pytest.mark.proves("C6")
def test_a_workbook_from_before_there_were_ways_of_delivery_loads_and_is_the_same_workbook() -> None:
    cells = workbook_cells(rewards=[reward_row(), goods_row("R2")])
    body = write_workbook(cells)
    header = [cell.value for cell in openpyxl.load_workbook(io.BytesIO(body))["rewards"][1]]
    assert "delivery" not in header
    parsed = parse_workbook(body)
    older = {**cells, "rewards": [{k: v for k, v in found.items() if k != "delivery"} for found in cells["rewards"]]}
    assert fingerprint(older) == fingerprint(parsed.cells) == fingerprint(cells)
    assert write_workbook(older) == body
    assert build_content(older) == build_content(parsed.cells)
    assert fingerprint(workbook_cells(rewards=[reward_row(), goods_row("R2", delivery="courier")])) != fingerprint(cells)
