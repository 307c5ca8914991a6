"""Fulfillment's application in this process, merchants that it knows, and what redemption asks of it."""

import base64
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from services.fulfillment.app import build
from services.fulfillment.settings import Settings
from shared.clock import Clock
from tests.support.postgres import TestDatabase
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

ACTOR = {"subject": "customer-00001", "kind": "customer", "channel": "mobile-app", "reason": "a test"}
CUSTOMER = "customer-00001"
CONTACT = {"name": "欧阳小明", "phone": "+8613800001234", "language": "zh_hans"}
KEYS = {"2026-1": base64.b64encode(b"k" * 32).decode()}
PEPPER = base64.b64encode(b"p" * 32).decode()

_numbers = itertools.count(1)


def texts(words: str) -> dict[str, str]:
    """One text in three languages."""
    return {"zh_hans": f"{words} 简", "zh_hant": f"{words} 繁", "en": words}


def line(number: int = 1, quantity: int = 1, *, merchants: tuple[str, ...] = ("M001",), **voucher: Any) -> dict[str, Any]:
    """A line of e-vouchers over 50.00 that M001 accepts for 30 days."""
    usual = {"face_value_minor": 5000, "currency": "CNY", "valid_days": 30, "terms": texts("Use once")}
    return {
        "number": number,
        "quantity": quantity,
        "kind": "e_voucher",
        "reward": {"code": "R-COFFEE", "names": texts("Coffee voucher")},
        "voucher": {**usual, "merchants": list(merchants), **voucher},
    }


def goods(number: int = 1, quantity: int = 1, code: str = "R-KETTLE") -> dict[str, Any]:
    """A line of goods."""
    reward = {"code": code, "names": {"zh_hans": "保温壶", "zh_hant": "保溫壺", "en": "Kettle"}}
    return {"number": number, "quantity": quantity, "kind": "goods", "reward": reward}


def by_courier(**address: Any) -> dict[str, Any]:
    """A delivery by courier."""
    usual = {"province": "广东省", "city": "深圳市", "district": "南山区", "street": "科技路 1 号", "postcode": "518000"}
    return {"way": "courier", "contact": CONTACT, "address": {**usual, **address}}


def to_branch(code: str = "B001") -> dict[str, Any]:
    """A delivery that is collected at a branch."""
    return {"way": "pickup", "contact": CONTACT, "branch": code}


def branch(code: str = "B001", **given: Any) -> dict[str, Any]:
    """A branch as the bank's list has it."""
    usual = {
        "code": code, "names": texts(f"Branch {code}"), "addresses": texts("1 Central Street"), "phone": "0755-8888 0000",
        "hours": texts("Mon-Fri 9-17"), "open": True, "capacity_parcels": 100,
    }  # fmt: skip
    return {**usual, **given}


def wish(*lines: Mapping[str, Any], subject: str = CUSTOMER, **given: Any) -> dict[str, Any]:
    """What a redemption asks for; one voucher where no line is given. A subject has one customer id."""
    usual = {
        "id": str(uuid.uuid4()),
        "customer_id": customer_id_of(subject),
        "owner": {"issuer": ISSUER, "subject": subject},
        "campaign": "TEST-2026",
        "lines": list(lines) or [line()],
    }
    return {**usual, **given}


def customer_id_of(subject: str) -> str:
    """The customer id under which tests know a subject."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"customer:{subject}"))


def next_number(prefix: str = "N") -> str:
    """A request number that no test has used."""
    return f"{prefix}-{next(_numbers)}"


def settings_of(database: TestDatabase, **given: Any) -> Settings:
    """Settings for a test database."""
    usual: dict[str, Any] = {
        "database_url": SecretStr(database.url), "issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://identity.test/keys",
        "token_url": "https://identity.test/token", "client_id": "fulfillment", "client_secret": SecretStr("x"),
        "cursor_key": base64.b64encode(bytes(32)).decode(), "pool_size": 6, "catalog_url": "https://catalog.test",
        "voucher_keys": KEYS, "voucher_pepper": PEPPER, "redemption_url": "https://redemption.test",
        "courier_url": "https://courier.test", "courier_key": SecretStr("x"),
        "notifications_url": "https://notifications.test", "notifications_key": SecretStr("x"),
    }  # fmt: skip
    return Settings(**{**usual, **given})


def know_merchants(database: TestDatabase, *codes: str, until: str = "2099-12-31", accepts: bool = True) -> None:
    """Merchants with the terminals T01 and T02, as the mirror would have brought them."""
    with psycopg.connect(database.superuser_url) as conn:
        for code in codes:
            conn.execute(
                "INSERT INTO merchants (code, names, accepts_vouchers, contract_from, contract_until) "
                "VALUES (%s, %s, %s, '2020-01-01', %s)",
                [code, Jsonb(texts(f"Shop {code}")), accepts, until],
            )
            conn.execute("INSERT INTO terminals VALUES (%s, 'T01'), (%s, 'T02')", [code, code])


class Fulfillment:
    """The running application, spoken to over HTTP."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.app = app
        self.client = client
        self.issuer = issuer
        self.parts = app.state.parts

    async def accept(self, *wishes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Redemption's bulk call; one outcome an item."""
        answer = await self.client.put(
            "/internal/v1/fulfillments", json={"actor": ACTOR, "items": wishes}, headers=self.issuer.service()
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def cancel(self, *ids: str) -> list[dict[str, Any]]:
        """Redemption's bulk cancellation; one outcome an item."""
        body = {"actor": ACTOR, "items": [{"id": one} for one in ids]}
        answer = await self.client.put("/internal/v1/fulfillments/cancellations", json=body, headers=self.issuer.service())
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def stands(self, *ids: str) -> list[dict[str, Any]]:
        """How fulfillments stand, by redemption's question."""
        answer = await self.get("/internal/v1/fulfillments", self.issuer.service(), ids=list(ids))
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def write_branches(self, *branches: Mapping[str, Any]) -> httpx.Response:
        """The bank's list of branches."""
        headers = self.issuer.service("bank-feeds", "feeds:write")
        return await self.client.put("/v1/branches", json={"items": list(branches)}, headers=headers)

    async def parcels(self, subject: str = CUSTOMER) -> list[dict[str, Any]]:
        """A customer's own parcels, at most a hundred."""
        answer = await self.get("/v1/parcels", self.issuer.customer(subject), limit=100)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def get(self, path: str, headers: Mapping[str, str], **query: Any) -> httpx.Response:
        """Any reading."""
        return await self.client.get(path, headers=headers, params=query)

    async def wallet(self, subject: str = CUSTOMER) -> list[dict[str, Any]]:
        """A customer's own vouchers, at most a hundred."""
        answer = await self.get("/v1/vouchers", self.issuer.customer(subject), limit=100)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def codes(self, subject: str = CUSTOMER) -> dict[str, str]:
        """The codes of a customer's usable vouchers by voucher id."""
        found = {}
        for voucher in await self.wallet(subject):
            answer = await self.get(f"/v1/vouchers/{voucher['id']}/code", self.issuer.customer(subject))
            if answer.status_code == 200:
                found[voucher["id"]] = answer.json()["code"]
        return found

    async def issue(self, *lines: Mapping[str, Any], subject: str = CUSTOMER) -> list[str]:
        """Accept a wish; the codes that the customer then has."""
        outcome = await self.accept(wish(*lines, subject=subject))
        assert outcome[0]["outcome"] == "accepted", outcome
        return list((await self.codes(subject)).values())

    async def verify(self, code: str, merchant: str = "M001", terminal: str = "T01") -> httpx.Response:
        """A till asks about a code."""
        return await self.client.post("/v1/verifications", json={"code": code}, headers=self.issuer.till(merchant, terminal))

    async def use(
        self, code: str, number: str | None = None, merchant: str = "M001", terminal: str = "T01", **body: Any
    ) -> httpx.Response:
        """A till uses a code."""
        path = f"/v1/uses/{number or next_number()}"
        return await self.client.put(path, json={"code": code, **body}, headers=self.issuer.till(merchant, terminal))

    async def reverse(self, number: str, merchant: str = "M001", terminal: str = "T01") -> httpx.Response:
        """A till takes a use back."""
        return await self.client.put(f"/v1/uses/{number}/reversal", headers=self.issuer.till(merchant, terminal))

    async def breaks(self) -> list[dict[str, Any]]:
        """What fulfillment's own books find."""
        answer = await self.client.get("/internal/v1/breaks", headers=self.issuer.service())
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@contextlib.asynccontextmanager
async def running_fulfillment(
    database: TestDatabase, issuer: Issuer, *, clock: Clock | None = None, books: bool = True, **settings: Any
) -> AsyncIterator[Fulfillment]:
    """The application on a test database; its own books must balance at the end unless the test breaks them."""
    app = build(settings_of(database, **settings), keys=issuer, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://fulfillment.test", timeout=30) as client:
            running = Fulfillment(app, client, issuer)
            yield running
            if books:
                found = await running.breaks()
                assert found == [], found
