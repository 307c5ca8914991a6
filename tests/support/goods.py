"""A campaign with goods beside vouchers, a branch, an address: what it takes to have something brought, and to cancel it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.catalog.campaigns.domain import offer_id
from tests.support.catalog import CAMPAIGN, batch_row, goods_row, offer_row, reward_row
from tests.support.fulfillment import branch, know_merchants
from tests.support.postgres import TestDatabase
from tests.support.redemption import one, rows
from tests.support.suite import Suite

ADDRESS = {
    "recipient": "李小明", "phone": "139 0000 5678", "province": "广东省", "city": "深圳市", "district": "南山区",
    "street": "科技路 1 号", "postcode": "518000", "label": "家",
}  # fmt: skip
VOUCHER, LAMP, KETTLE = "O1", "O2", "O3"
VOUCHER_POINTS, LAMP_POINTS = 1000, 700
STOCK, LIMIT = 100, 9


@dataclass
class Shop:
    """The suite with goods, and one customer with 5,000 points and an address."""

    suite: Suite
    database_of: Callable[[str], TestDatabase]
    customer: str = ""
    address_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def open(self) -> "Shop":
        """O1 is a voucher, O2 a lamp that goes either way, O3 a kettle for pickup alone; B001 is open, B002 is not."""
        await self.suite.catalog.open(
            rewards=[reward_row("R1"), goods_row("R2"), goods_row("R3", delivery="pickup")],
            offers=[
                offer_row(VOUCHER, "R1", price_points=VOUCHER_POINTS, limit_per_customer=LIMIT),
                offer_row(LAMP, "R2", price_points=LAMP_POINTS, limit_per_customer=LIMIT, limit_per_day=LIMIT),
                offer_row(KETTLE, "R3"),
            ],
            stock_batches=[batch_row("B1", "R1", STOCK), batch_row("B2", "R2", STOCK), batch_row("B3", "R3", STOCK)],
        )
        know_merchants(self.database_of("fulfillment"), "M001")
        headers = self.suite.issuer.service("bank-feeds", "feeds:write")
        items = [branch("B001"), branch("B002", open=False)]
        put = await self.suite.tills.put("/v1/branches", json={"items": items}, headers=headers)
        assert put.status_code == 200, put.text
        await self.new_customer()
        return self

    async def new_customer(self, points: int = 5000, **feed: Any) -> str:
        """Somebody with points and an address of their own."""
        [self.customer] = await self.suite.add_customers(points, **feed)
        self.address_id = str(uuid.uuid4())
        put = await self.put_address(self.address_id)
        assert put.status_code == 204, put.text
        return self.customer

    @property
    def me(self) -> dict[str, str]:
        """The customer's header."""
        return self.suite.issuer.customer(self.customer)

    async def put_address(self, address_id: str, **changed: Any) -> httpx.Response:
        """Keep an address."""
        return await self.suite.client.put(f"/v1/addresses/{address_id}", json={**ADDRESS, **changed}, headers=self.me)

    def by_courier(self) -> dict[str, Any]:
        """To the customer's address."""
        return {"way": "courier", "address_id": self.address_id}

    async def redeem(
        self, *lines: tuple[str, int], delivery: dict[str, Any] | None = None, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Redeem (offer, quantity) lines; one lamp when nothing is said."""
        wanted = [
            {"offer_id": str(offer_id(CAMPAIGN, offer)), "offer_version": 1, "quantity": quantity}
            for offer, quantity in lines or [(LAMP, 1)]
        ]
        body = {"campaign": CAMPAIGN, "lines": wanted, **({"delivery": delivery} if delivery else {})}
        sent = {**self.me, "Idempotency-Key": key or str(uuid.uuid4()), **headers}
        return await self.suite.client.post("/v1/redemptions", json=body, headers=sent)

    async def order(self, *lines: tuple[str, int], way: str = "courier") -> str:
        """A redemption whose goods fulfillment has taken in hand and not sent yet; its id."""
        delivery = self.by_courier() if way == "courier" else {"way": "pickup", "branch": "B001"}
        answer = await self.redeem(*lines, delivery=delivery)
        assert answer.status_code == 201, answer.text
        await self.suite.worker.drain()
        found: str = answer.json()["id"]
        return found

    async def cancel(
        self, redemption_id: str, reason: str | None = None, *, key: str | None = None, who: dict[str, str] | None = None
    ) -> httpx.Response:
        """Ask to cancel."""
        headers = {**(who or self.me), "Idempotency-Key": key or str(uuid.uuid4())}
        body = {} if reason is None else {"reason": reason}
        return await self.suite.client.post(f"/v1/redemptions/{redemption_id}/cancellation", json=body, headers=headers)

    async def seen(self, redemption_id: str, language: str = "en") -> dict[str, Any]:
        """A redemption as staff see it."""
        headers = {**self.suite.issuer.staff("agent"), "Accept-Language": language}
        answer = await self.suite.client.get(f"/v1/redemptions/{redemption_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def kinds(self, redemption_id: str) -> list[str]:
        """The kinds of a timeline's entries."""
        return [entry["kind"] for entry in (await self.seen(redemption_id))["timeline"]]

    async def balance(self) -> tuple[int, int]:
        """(balance, held) of the customer's points."""
        found = await self.suite.points(self.customer)
        return found["balance"], found["held"]

    def parcel(self, redemption_id: str) -> tuple[str, str]:
        """(state, tracking number) of a redemption's parcel."""
        query = "SELECT state, coalesce(tracking_number, '') FROM parcels WHERE fulfillment_id = %s"
        [(state, number)] = rows(self.database_of("fulfillment"), query, redemption_id)
        return state, number

    async def happens(self, redemption_id: str, *kinds: str) -> None:
        """The carrier's events come in, and all that follows from them is done."""
        await self.suite.outside.courier.happen(self.parcel(redemption_id)[1], *kinds)
        await self.suite.outside.courier.tell()
        await self.suite.drain()
        await self.suite.drain()

    def stock(self, offer: str = LAMP) -> tuple[int, int]:
        """(held, consumed) units of an offer's only batch."""
        code = {VOUCHER: "B1", LAMP: "B2", KETTLE: "B3"}[offer]
        [found] = rows(self.database_of("catalog"), "SELECT held, consumed FROM stock_batches WHERE code = %s", code)
        return found[0], found[1]

    def limits(self) -> list[int]:
        """What the customer has taken of each limit, above zero."""
        query = (
            "SELECT l.taken FROM limit_counters l JOIN customers c ON c.id = l.customer_id "
            "WHERE c.subject = %s AND l.taken > 0 ORDER BY l.limit_key"
        )
        return [taken for (taken,) in rows(self.database_of("redemption"), query, self.customer)]

    def value(self, query: str, *values: Any) -> Any:
        """One value of redemption's database."""
        return one(self.database_of("redemption"), query, *values)
