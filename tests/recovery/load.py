"""Customers and tills who do not give up: the same request under the same key, until it has its final answer.

And what must be true of the books when they are through: one effect a key, the same answer for ever, nothing lost or doubled.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from services.catalog.campaigns.domain import offer_id
from services.catalog.workbooks.writing import write_workbook
from shared.webhooks import sign
from tests.recovery.looks import Looks, looking
from tests.support.catalog import CAMPAIGN, XLSX, batch_row, goods_row, offer_row, reward_row, workbook_cells
from tests.support.fulfillment import branch, know_merchants
from tests.support.goods import ADDRESS
from tests.support.outside import CARRIER, CARRIER_KEY
from tests.support.processes import Machine
from tests.support.tokens import Issuer

PRICE = 1000
SOLD_OUT, LAMP = "O9", "O5"
LAMP_POINTS = 700
AT_BRANCH = {"way": "pickup", "branch": "B001"}
TRY_AGAIN = {"idempotency-in-flight", "overloaded", "database-unavailable", "dependency-unavailable"}
UNDER_WAY = """
    SELECT (SELECT count(*) FROM redemptions WHERE state IN ('accepted', 'confirmed', 'cancelling'))
         + (SELECT count(*) FROM tasks
             WHERE state <> 'done' AND kind IN ('drive', 'fulfil', 'cancel', 'consume', 'release', 'give_back'))
"""
STUCK = "SELECT kind, state, claims_unreturned, failures, last_error FROM tasks WHERE state <> 'done' LIMIT 20"


@dataclass
class Order:
    """One thing that one customer wants, under one key, and the final answer to it."""

    subject: str
    quantity: int = 1
    offer: str = "O1"
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    fresh_key_each_time: bool = False
    answer: httpx.Response | None = None
    attempts: int = 0

    @property
    def redemption_id(self) -> str:
        """The redemption that the final answer names."""
        assert self.answer is not None
        body = self.answer.json()
        found: str = body["id"] if self.answer.status_code == 201 else body["redemption_id"]
        return found


def is_final(answer: httpx.Response) -> bool:
    """Whether the answer will not change any more."""
    if answer.status_code in (202, 429) or answer.status_code >= 500:
        return False
    return answer.status_code < 400 or str(answer.json()["type"]).rpartition("/")[2] not in TRY_AGAIN


async def persist(send: Callable[[], Awaitable[httpx.Response]], *, seconds: float = 120.0) -> httpx.Response:
    """Send again and again, as a client does that lost its answer, until the answer is final."""
    until = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = answer = await send()
            if is_final(answer):
                return answer
        except httpx.HTTPError as error:
            last = error
        assert time.monotonic() < until, f"no final answer: {last!r} {getattr(last, 'text', '')}"
        await asyncio.sleep(random.uniform(0.05, 0.25))


class Customers:
    """Everybody outside: speaks HTTP with the machine, and looks into its databases as an auditor may."""

    def __init__(self, machine: Machine, client: httpx.AsyncClient, looks: Looks) -> None:
        self.machine, self.client, self.looks = machine, client, looks
        self.issuer: Issuer = machine.issuer

    async def open_campaign(self) -> None:
        """One offer with plenty of stock, one that was sold out from the start."""
        cells = workbook_cells(
            rewards=[reward_row("R1"), reward_row("R9"), goods_row("R5")],
            offers=[
                offer_row("O1", price_points=PRICE),
                offer_row(SOLD_OUT, "R9", price_points=PRICE),
                offer_row(LAMP, "R5", price_points=LAMP_POINTS, limit_per_customer=1_000),
            ],
            stock_batches=[batch_row("B1", "R1", 100_000), batch_row("B5", "R5", 100_000), batch_row("B9", "R9", 0)],
        )
        headers = {**self.issuer.staff("campaign_manager"), "Idempotency-Key": "load", "Content-Type": XLSX}
        books = self.machine.url("catalog")
        loaded = await self.client.post(f"{books}/v1/workbooks", content=write_workbook(cells), headers=headers)
        assert loaded.status_code == 201, loaded.text
        headers = {**self.issuer.staff("campaign_manager"), "Idempotency-Key": "publish"}
        published = await self.client.post(f"{books}/v1/campaigns/{CAMPAIGN}/versions/1/publication", headers=headers)
        assert published.status_code == 200, published.text
        know_merchants(self.machine.databases["fulfillment"], "M001")
        put = await self.client.put(
            f"{self.machine.url('fulfillment')}/v1/branches",
            json={"items": [branch()]},
            headers=self.issuer.service("bank-feeds", "feeds:write"),
        )
        assert put.status_code == 200, put.text

    async def arrive(self, count: int, points: int) -> list[str]:
        """New customers with points; the subjects they sign in with."""
        mark = uuid.uuid4().hex[:8]
        numbers = [f"N{mark}-{n}" for n in range(count)]
        people = "".join(f"{n},customer-{n},客户{i},138{i:08d},gold,zh_hans\n" for i, n in enumerate(numbers))
        lots = "".join(f"{n},{points},2030-12-31,open-{n}\n" for n in numbers)
        await self._feed("customers", mark, "customer_number,subject,name,phone,tier,language\n" + people)
        total = f"#total,{count},{count * points}\n"
        await self._feed("opening-balances", mark, "customer_number,points,expires_on,reference\n" + lots + total)
        return [f"customer-{number}" for number in numbers]

    async def _feed(self, kind: str, name: str, content: str) -> None:
        headers = {**self.issuer.service("bank-feeds", "feeds:write"), "Content-Type": "text/csv"}
        path = f"{self.machine.url('redemption')}/v1/feeds/{kind}/{name}"
        answer = await persist(lambda: self.client.put(path, content=content.encode(), headers=headers))
        assert answer.status_code == 200, answer.text

    async def redeem(self, order: Order, *, seconds: float = 120.0) -> Order:
        """Send an order until it has its final answer."""
        line = {"offer_id": str(offer_id(CAMPAIGN, order.offer)), "offer_version": 1, "quantity": order.quantity}
        token = self.issuer.customer(order.subject)

        async def send() -> httpx.Response:
            order.attempts += 1
            key = f"{order.key}-{order.attempts}" if order.fresh_key_each_time else order.key
            return await self.client.post(
                f"{self.machine.url('redemption')}/v1/redemptions",
                json={"campaign": CAMPAIGN, "lines": [line]},
                headers={**token, "Idempotency-Key": key},
            )

        order.answer = await persist(send, seconds=seconds)
        return order

    async def order_goods(self, subject: str, *offers: str, key: str, delivery: Mapping[str, str] = AT_BRANCH) -> str:
        """One of each, to be picked up at the branch unless it is said otherwise; the redemption's id."""
        lines = [{"offer_id": str(offer_id(CAMPAIGN, offer)), "offer_version": 1, "quantity": 1} for offer in offers]
        body = {"campaign": CAMPAIGN, "lines": lines, "delivery": dict(delivery)}
        headers = {**self.issuer.customer(subject), "Idempotency-Key": key}
        path = f"{self.machine.url('redemption')}/v1/redemptions"
        answer = await persist(lambda: self.client.post(path, json=body, headers=headers))
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    async def move_in(self, subject: str) -> dict[str, str]:
        """The customer has an address; the delivery by courier to it."""
        address = str(uuid.uuid4())
        path, headers = f"{self.machine.url('redemption')}/v1/addresses/{address}", self.issuer.customer(subject)
        put = await persist(lambda: self.client.put(path, json=ADDRESS, headers=headers))
        assert put.status_code == 204, put.text
        return {"way": "courier", "address_id": address}

    async def parcel_of(self, redemption_id: str) -> str:
        """The parcel of a redemption, as soon as fulfillment has packed it."""
        found = "SELECT id::text FROM parcels WHERE fulfillment_id = %s"
        await self.until(lambda: bool(self.looks.rows("fulfillment", found, redemption_id)))
        parcel: str = self.value("fulfillment", found, redemption_id)
        return parcel

    def hurry(self, kind: str, parcel: str) -> None:
        """What would be done for a parcel later is due now."""
        due = "UPDATE tasks SET run_at = now() WHERE kind = %s AND ref = %s AND state = 'ready' AND run_at > now()"
        self.looks.change("fulfillment", due, kind, parcel)

    async def at_counter(self, parcel: str, deed: str, **body: str) -> httpx.Response:
        """Somebody at the branch's counter does something with a parcel, until it is answered."""
        path, headers = (
            f"{self.machine.url('fulfillment')}/v1/parcels/{parcel}/{deed}",
            self.issuer.staff("branch", branch="B001"),
        )
        return await persist(lambda: self.client.put(path, json=body or None, headers=headers))

    async def pickup_code(self, subject: str, parcel: str) -> str:
        """The owner looks at the code."""
        path, headers = f"{self.machine.url('fulfillment')}/v1/parcels/{parcel}/pickup-code", self.issuer.customer(subject)
        answer = await persist(lambda: self.client.get(path, headers=headers))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["code"])

    async def carrier_tells(self, parcel: str, kind: str) -> None:
        """Something happens to a parcel, and the carrier says so until it is heard."""
        raw = json.dumps(self.machine.roadside.happens(parcel, kind)).encode()
        path = f"{self.machine.url('fulfillment')}/v1/carriers/{CARRIER}/events"

        async def tell() -> httpx.Response:
            headers = sign(CARRIER_KEY, "message", datetime.now(UTC), raw)
            return await self.client.post(path, content=raw, headers={**headers, "Content-Type": "application/json"})

        answer = await persist(tell)
        assert answer.status_code == 200, answer.text

    async def cancel(self, subject: str, redemption_id: str, *, key: str) -> httpx.Response:
        """Ask to cancel under one key, until it is decided."""
        headers = {**self.issuer.customer(subject), "Idempotency-Key": key}
        path = f"{self.machine.url('redemption')}/v1/redemptions/{redemption_id}/cancellation"
        return await persist(lambda: self.client.post(path, json={"reason": "changed my mind"}, headers=headers))

    async def repeat(self, order: Order) -> httpx.Response:
        """The same request once more, after it had its final answer."""
        first = order.answer
        await self.redeem(order)
        again, order.answer = order.answer, first
        assert again is not None
        return again

    async def voucher_codes(self, order: Order) -> list[str]:
        """The codes of the vouchers that the order brought."""
        headers, tills = self.issuer.customer(order.subject), self.machine.url("fulfillment")
        wallet = await persist(lambda: self.client.get(f"{tills}/v1/vouchers", headers=headers))
        assert wallet.status_code == 200, wallet.text
        codes = []
        for voucher in [found["id"] for found in wallet.json()["items"] if found["fulfillment_id"] == order.redemption_id]:
            path = f"{tills}/v1/vouchers/{voucher}/code"
            answer = await persist(lambda path=path: self.client.get(path, headers=headers))  # type: ignore[misc]
            if answer.status_code == 200:  # one that was used is not shown any more
                codes.append(answer.json()["code"])
        return codes

    async def at_till(self, number: str, path: str = "", **body: Any) -> httpx.Response:
        """A till's request under its own number, until it is answered."""
        address = f"{self.machine.url('fulfillment')}/v1/uses/{number}{path}"
        return await persist(lambda: self.client.put(address, json=body, headers=self.issuer.till()))

    def value(self, service: str, query: str, *values: Any) -> Any:
        """One value from a service's database."""
        return self.looks.rows(service, query, *values)[0][0]

    async def all_ended(self, *, seconds: float = 120.0) -> None:
        """Wait until nothing is under way any more. Nobody steps in: neither a hand nor a redrive."""
        await self.until(lambda: self.value("redemption", UNDER_WAY) == 0, seconds=seconds)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
        """Wait for something that comes by itself."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{self.looks.rows('redemption', STUCK)} {self.machine.words('redemption worker')}"
            await asyncio.sleep(0.05)

    async def breaks(self) -> list[Any]:
        """What reconcile says over HTTP."""
        headers = self.issuer.service("operations", "reconcile:read")
        path = f"{self.machine.url('redemption')}/internal/v1/reconciliation"
        answer = await persist(lambda: self.client.get(path, headers=headers))
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["breaks"]
        return found

    def redemptions_of(self, subject: str) -> dict[str, tuple[str, int]]:
        """A customer's redemptions: state and units by id."""
        query = """
            SELECT r.id, r.state, sum(l.quantity) FROM redemptions r JOIN customers c ON c.id = r.customer_id
              JOIN redemption_lines l ON l.redemption_id = r.id WHERE c.subject = %s GROUP BY r.id
        """
        return {str(one): (state, int(units)) for one, state, units in self.looks.rows("redemption", query, subject)}


def effects(value: Callable[..., Any], redemption_id: str) -> dict[str, int]:
    """Everything that one redemption did in the three databases; `value(service, query, id)` reads one number there."""
    queries = {
        "points": ("redemption", "SELECT sum(points) FROM postings WHERE kind = 'redeemed' AND redemption_id = %s"),
        "held": ("redemption", "SELECT sum(points) FROM holds WHERE state = 'held' AND redemption_id = %s"),
        "taken": ("catalog", "SELECT sum(quantity) FROM stock_movements WHERE kind = 'held' AND reservation_id = %s"),
        "consumed": ("catalog", "SELECT sum(quantity) FROM stock_movements WHERE kind = 'consumed' AND reservation_id = %s"),
        "released": ("catalog", "SELECT sum(quantity) FROM stock_movements WHERE kind = 'released' AND reservation_id = %s"),
        "vouchers": ("fulfillment", "SELECT count(*) FROM vouchers WHERE fulfillment_id = %s"),
    }
    return {name: int(value(service, query, redemption_id) or 0) for name, (service, query) in queries.items()}


def whole(units: int, price: int = PRICE) -> dict[str, int]:
    """The effects of a redemption that was carried out once."""
    return {
        "points": price * units, "held": 0, "taken": units, "consumed": units, "released": 0, "vouchers": units,
    }  # fmt: skip


async def must_be_once(customers: Customers, order: Order) -> None:
    """The order was carried out once and whole, or declined without a trace; and a repeat says so in the same words."""
    assert order.answer is not None
    assert order.answer.status_code in (201, 409), order.answer.text
    units = order.quantity if order.answer.status_code == 201 else 0
    state = "fulfilled" if units else "declined"
    assert customers.redemptions_of(order.subject) == {order.redemption_id: (state, order.quantity)}
    assert effects(customers.value, order.redemption_id) == whole(units)
    again = await customers.repeat(order)
    assert (again.status_code, again.content) == (order.answer.status_code, order.answer.content)
    assert again.headers["Idempotency-Replayed"] == "true"


@asynccontextmanager
async def outside(machine: Machine) -> AsyncIterator[Customers]:
    """Customers with a connection to the machine."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(timeout=8.0, limits=limits) as client:
        with looking(machine.databases) as looks:
            yield Customers(machine, client, looks)
