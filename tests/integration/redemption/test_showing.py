"""A redemption is shown: its timeline in words, lists page by page, and to nobody else."""

import uuid

import pytest

from tests.support.catalog import batch_row
from tests.support.redemption import code_of
from tests.support.suite import Suite

pytestmark = pytest.mark.anyio


@pytest.mark.proves("R8")
async def test_the_timeline_tells_in_words_what_happened_when_and_by_whom(bare_suite: Suite) -> None:
    suite = bare_suite
    await suite.catalog.open(stock_batches=[batch_row(quantity=1)])
    [customer] = await suite.add_customers(5000)
    bought = (await suite.redeem(customer)).json()["id"]
    missed = (await suite.redeem(customer)).json()["redemption_id"]
    await suite.drain()
    path = f"/v1/redemptions/{bought}"
    found = await suite.client.get(path, headers={**suite.issuer.staff("agent"), "Accept-Language": "en"})
    told = [(entry["actor"], entry["words"]) for entry in found.json()["timeline"]]
    assert told == [
        (f"customer:{customer}", "The request was received and 1000 points were set aside."),
        (f"customer:{customer}", "The redemption is confirmed; 1000 points were spent."),
        ("service:redemption", "The voucher is in the wallet."),
    ]
    instants = [entry["at"] for entry in found.json()["timeline"]]
    assert instants == sorted(instants)
    declined = await suite.client.get(
        f"/v1/redemptions/{missed}", headers={**suite.issuer.customer(customer), "Accept-Language": "zh-Hans"}
    )
    assert declined.json()["timeline"][-1]["words"] == "未能兑换：礼品已兑完。预留的1000积分已退回。"
    assert declined.json()["state_words"] == "未能兑换"


@pytest.mark.proves("R8")
async def test_a_customer_s_redemptions_are_listed_page_by_page_and_nobody_else_s(suite: Suite) -> None:
    ours, theirs = await suite.add_customers(50_000, 50_000)
    made = [(await suite.redeem(ours)).json()["id"] for _ in range(5)]
    await suite.redeem(theirs)
    seen: list[str] = []
    path: str | None = "/v1/redemptions?limit=2"
    while path:
        page = (await suite.client.get(path, headers=suite.issuer.customer(ours))).json()
        seen += [item["id"] for item in page["items"]]
        path = page["next"] and f"/v1/redemptions?limit=2&cursor={page['next']}"
    assert seen == made[::-1]
    first = (await suite.client.get("/v1/redemptions?limit=2", headers=suite.issuer.customer(ours))).json()
    stolen = await suite.client.get(f"/v1/redemptions?cursor={first['next']}", headers=suite.issuer.customer(theirs))
    assert (stolen.status_code, stolen.json()["errors"][0]["field"]) == (422, "query:cursor")
    assert (
        code_of(await suite.client.get("/v1/redemptions?limit=101", headers=suite.issuer.customer(ours))) == "validation-error"
    )


@pytest.mark.proves("X2")
async def test_someone_else_s_redemption_and_points_answer_exactly_like_absent_ones(suite: Suite) -> None:
    ours, theirs = await suite.add_customers(5000, 5000)
    redemption = (await suite.redeem(ours)).json()["id"]
    customer_id = (await suite.me(ours))["customer_id"]
    moment = "moment=2026-01-01T00:00:00Z"
    for path in (
        "/v1/redemptions/{}", "/v1/customers/{}/points", "/v1/customers/{}/points/statement",
        "/v1/customers/{}/points/statement.csv",
        f"/v1/customers/{{}}/points/as-of?{moment}",
    ):  # fmt: skip
        there = redemption if "redemptions" in path else customer_id
        absent = str(uuid.uuid4())
        answers = [
            await suite.client.get(path.format(one_id), headers=suite.issuer.customer(theirs)) for one_id in (there, absent)
        ]
        assert {answer.status_code for answer in answers} == {404}
        bodies = [{**answer.json(), "instance": "", "trace_id": ""} for answer in answers]
        assert bodies[0] == bodies[1]
        assert (await suite.client.get(path.format(there), headers=suite.issuer.customer(ours))).status_code == 200
        assert (await suite.client.get(path.format(there), headers=suite.issuer.staff("agent"))).status_code == 200
