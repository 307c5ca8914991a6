"""Points buy a voucher: the money path through three services."""

import pytest

from tests.support.suite import Suite

pytestmark = pytest.mark.anyio


@pytest.mark.proves("R1", "R2", "F3", "P1", "P2")
async def test_points_buy_a_voucher_that_is_in_the_wallet(suite: Suite) -> None:
    [customer] = await suite.add_customers(2500)
    answer = await suite.redeem(customer)
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "confirmed"
    assert answer.headers["location"] == f"/v1/redemptions/{answer.json()['id']}"
    points = await suite.points(customer)
    assert (points["balance"], points["held"], points["available"]) == (1500, 0, 1500)
    await suite.drain()
    shown = await suite.client.get(answer.headers["location"], headers=suite.issuer.customer(customer))
    assert shown.json()["state"] == "fulfilled"
    assert [entry["kind"] for entry in shown.json()["timeline"]] == ["accepted", "confirmed", "fulfilled"]
    wallet = await suite.tills.get("/v1/vouchers", headers=suite.issuer.customer(customer))
    assert len(wallet.json()["items"]) == 1
