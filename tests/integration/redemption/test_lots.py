"""What is on an account by its last day: the first to expire first, what is held among it, nothing that has expired."""

from datetime import UTC, datetime

import pytest

from tests.support.suite import Suite

pytestmark = pytest.mark.anyio


@pytest.mark.proves("P1")
async def test_every_point_that_is_still_good_is_shown_by_its_last_day(suite: Suite) -> None:
    [subject] = await suite.add_customers(0)
    number = subject.removeprefix("customer-")
    year = datetime.now(UTC).year
    lots = [(f"{year + 2}-06-30", 700), (f"{year + 1}-03-31", 300), (f"{year + 1}-03-31", 50), (f"{year - 1}-01-31", 900)]
    lines = "".join(f"{number},{points},{day},{subject}-{place}\n" for place, (day, points) in enumerate(lots))
    total = f"#total,{len(lots)},{sum(points for _, points in lots)}\n"
    await suite.feed("opening-balances", f"lots-{subject}", f"customer_number,points,expires_on,reference\n{lines}{total}")
    customer_id = (await suite.me(subject))["customer_id"]
    for headers in (suite.issuer.customer(subject), suite.issuer.staff("agent")):
        answer = await suite.client.get(f"/v1/customers/{customer_id}/points/lots", headers=headers)
        assert answer.json()["items"] == [
            {"expires_on": f"{year + 1}-03-31", "points": 350, "held": 0},
            {"expires_on": f"{year + 2}-06-30", "points": 700, "held": 0},
        ]
