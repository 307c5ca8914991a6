"""The bank's list of branches: all of it or nothing, the same again is nothing, and who may read it."""

from typing import Any

import psycopg
import pytest

from tests.support.fulfillment import Fulfillment, branch, texts
from tests.support.postgres import TestDatabase

pytestmark = pytest.mark.anyio


@pytest.mark.proves("F2", "G46")
async def test_branches_are_added_changed_and_closed_and_the_same_list_again_is_nothing(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    for _ in range(2):
        assert (await fulfillment.write_branches(branch("B001"), branch("B002"))).json() == {"taken": 2}
    assert (await fulfillment.write_branches(branch("B002", open=False), branch("B003"))).json() == {"taken": 2}
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        found = conn.execute("SELECT action, subject, actor FROM audit_entries ORDER BY id").fetchall()
    assert found == [
        ("branch.added", "branch:B001", "service:bank-feeds"),
        ("branch.added", "branch:B002", "service:bank-feeds"),
        ("branch.changed", "branch:B002", "service:bank-feeds"),
        ("branch.added", "branch:B003", "service:bank-feeds"),
    ]
    listed = await fulfillment.get("/v1/branches", fulfillment.issuer.customer())
    assert [one["code"] for one in listed.json()["items"]] == ["B001", "B003"], "one that is not listed stays as it is"
    every = await fulfillment.get("/internal/v1/branches", fulfillment.issuer.service())
    assert [(one["code"], one["open"]) for one in every.json()["items"]] == [("B001", True), ("B002", False), ("B003", True)]


@pytest.mark.proves("X4", "G42")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "b1"}, "code"),
        ({"names": {**texts("x"), "en": " "}}, "names.en"),
        ({"hours": {"en": "9-17"}}, "hours.zh_hans"),
        ({"phone": "call us"}, "phone"),
        ({"open": "yes"}, "open"),
        ({"capacity_parcels": 0}, "capacity_parcels"),
        ({"surprise": 1}, "surprise"),
        ({"code": "B001"}, "code"),
    ],
)
async def test_a_wrong_branch_is_named_by_item_and_field_and_nothing_is_taken(
    fulfillment: Fulfillment, change: dict[str, Any], field: str
) -> None:
    answer = await fulfillment.write_branches(branch("B001"), {**branch("B002"), **change})
    assert answer.status_code == 422
    assert f"items[1].{field}" in [error["field"] for error in answer.json()["errors"]]
    every = await fulfillment.get("/internal/v1/branches", fulfillment.issuer.service())
    assert every.json()["items"] == []


@pytest.mark.proves("X4")
async def test_all_that_is_wrong_is_told_at_once(fulfillment: Fulfillment) -> None:
    answer = await fulfillment.write_branches(branch("B001", capacity_parcels=0), branch("B002", phone="?", open=1))
    assert {error["field"] for error in answer.json()["errors"]} == {
        "items[0].capacity_parcels",
        "items[1].phone",
        "items[1].open",
    }


async def test_services_that_have_the_newest_list_are_told_so(fulfillment: Fulfillment) -> None:
    await fulfillment.write_branches(branch("B001"))
    headers = fulfillment.issuer.service()
    first = await fulfillment.get("/internal/v1/branches", headers)
    held = {**headers, "If-None-Match": first.headers["etag"]}
    assert (await fulfillment.get("/internal/v1/branches", held)).status_code == 304
    await fulfillment.write_branches(branch("B001", capacity_parcels=7))
    assert (await fulfillment.get("/internal/v1/branches", held)).status_code == 200
