"""A small campaign for tests, as the rows of its workbook, and the catalog's application in this process."""

import base64
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from services.catalog.app import build
from services.catalog.campaigns.domain import offer_id
from services.catalog.settings import Settings
from services.catalog.workbooks.sheets import SHEETS, Cells
from services.catalog.workbooks.writing import write_workbook
from shared.clock import Clock
from shared.languages import LANGUAGES
from tests.support.postgres import TestDatabase
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

CAMPAIGN = "TEST-2026"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ACTOR = {"subject": "customer-00001", "kind": "customer", "channel": "app", "reason": "a test"}


def row(sheet: str, **given: Any) -> dict[str, Any]:
    """A row of a sheet: every column, those not given empty; `name="X"` fills all three languages."""
    columns = next(found for found in SHEETS if found.name == sheet).columns
    names = {column.name for column in columns}
    filled: dict[str, Any] = {column.name: None for column in columns}
    for name, value in given.items():
        if name in names:
            filled[name] = value
        else:
            filled.update({f"{name}_{language}": value for language in LANGUAGES})
    assert filled.keys() == names, given
    return filled


def campaign_row(**given: Any) -> dict[str, Any]:
    """A campaign that is open from 2026 to 2030."""
    usual = {
        "code": CAMPAIGN, "name": "测试活动 Test", "description": "一次测试", "theme": "test", "opens_on": "2026-01-01",
        "closes_on": "2030-12-31", "currency": "CNY", "sample": "yes",
    }  # fmt: skip
    return row("campaign", **{**usual, **given})


def reward_row(code: str = "R1", **given: Any) -> dict[str, Any]:
    """An e-voucher over 50.00 at merchant M001."""
    usual = {
        "kind": "e_voucher", "category": "dining", "name": f"咖啡券 Coffee {code}", "description": "一杯咖啡",
        "market_value_minor": 5000, "unit_cost_minor": 4000, "lead_time_days": 0, "face_value_minor": 5000,
        "valid_days": 90, "merchants": "M001", "terms": "使用一次",
    }  # fmt: skip
    return row("rewards", code=code, **{**usual, **given})


def goods_row(code: str = "R2", **given: Any) -> dict[str, Any]:
    """Goods worth 200.00, delivered either way."""
    usual = {
        "kind": "goods", "category": "home", "name": f"台灯 Lamp {code}", "description": "一盏台灯", "model": "DL-40",
        "market_value_minor": 20_000, "unit_cost_minor": 15_000, "lead_time_days": 3,
    }  # fmt: skip
    return row("rewards", code=code, **{**usual, **given})


def offer_row(code: str = "O1", reward: str = "R1", **given: Any) -> dict[str, Any]:
    """An offer at 1,000 points without limits."""
    return row("offers", code=code, reward=reward, **{"price_points": 1000, **given})


def batch_row(code: str = "B1", reward: str = "R1", quantity: int = 100, **given: Any) -> dict[str, Any]:
    """A batch that does not expire."""
    return row("stock_batches", code=code, reward=reward, quantity=quantity, **given)


def merchant_row(code: str = "M001", **given: Any) -> dict[str, Any]:
    """A merchant that takes vouchers."""
    usual = {
        "name": f"商户 {code}", "category_code": "5814", "address": "某街 1 号", "accepts_vouchers": "yes",
        "accepts_spend": "yes", "contract_from": "2026-01-01", "contract_until": "2030-12-31",
    }  # fmt: skip
    return row("merchants", code=code, **{**usual, **given})


def workbook_cells(**sheets: Sequence[Mapping[str, Any]]) -> Cells:
    """A whole workbook: one offer of one reward with 100 units; sheets by keyword replace their rows."""
    usual: dict[str, Sequence[Mapping[str, Any]]] = {
        "campaign": [campaign_row()],
        "rewards": [reward_row()],
        "offers": [offer_row()],
        "stock_batches": [batch_row()],
        "merchants": [merchant_row()],
        "terminals": [row("terminals", merchant="M001", code="T01", location="前台")],
        "budget": [],
    }
    return {**usual, **sheets}


def wish(*lines: tuple[str, int], version: int = 1, **given: Any) -> dict[str, Any]:
    """What a redemption asks for: (offer, quantity) by line; one unit of O1 when nothing is said."""
    found = [
        {"number": n, "offer_id": str(offer_id(CAMPAIGN, offer)), "offer_version": version, "quantity": quantity}
        for n, (offer, quantity) in enumerate(lines or [("O1", 1)], start=1)
    ]
    return {"id": str(uuid.uuid4()), "campaign": CAMPAIGN, "lines": found, **given}


def catalog_settings(database: TestDatabase, **given: Any) -> Settings:
    """Settings for a test database."""
    usual: dict[str, Any] = {
        "database_url": SecretStr(database.url), "issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://identity.test/keys",
        "token_url": "https://identity.test/token", "client_id": "catalog", "client_secret": SecretStr("x"),
        "cursor_key": base64.b64encode(bytes(32)).decode(), "pool_size": 4,
    }  # fmt: skip
    return Settings(**{**usual, **given})


class Catalog:
    """The running application, spoken to over HTTP."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.app = app
        self.client = client
        self.issuer = issuer
        self.parts = app.state.parts

    async def load(self, cells: Cells, *, key: str | None = None) -> httpx.Response:
        """Load a workbook as a campaign manager."""
        return await self.load_bytes(write_workbook(cells), key=key)

    async def load_bytes(self, body: bytes, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Load any bytes as a workbook."""
        sent = {**self.manager(), "Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": XLSX, **headers}
        return await self.client.post("/v1/workbooks", content=body, headers=sent)

    async def publish(self, version: int = 1, campaign: str = CAMPAIGN) -> httpx.Response:
        """Put a version in force as a campaign manager."""
        headers = {**self.manager(), "Idempotency-Key": str(uuid.uuid4())}
        return await self.client.post(f"/v1/campaigns/{campaign}/versions/{version}/publication", headers=headers)

    async def open(self, **sheets: Sequence[Mapping[str, Any]]) -> int:
        """Load a workbook and put it in force; the version."""
        loaded = await self.load(workbook_cells(**sheets))
        assert loaded.status_code == 201, loaded.text
        published = await self.publish(loaded.json()["version"], loaded.json()["campaign"])
        assert published.status_code == 200, published.text
        version: int = loaded.json()["version"]
        return version

    async def put(self, path: str, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A bulk call of redemption's; one outcome an item."""
        answer = await self.client.put(
            f"/internal/v1/{path}", json={"actor": ACTOR, "items": items}, headers=self.issuer.service()
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def breaks(self) -> list[dict[str, Any]]:
        """What the catalog's own books find."""
        answer = await self.client.get("/internal/v1/breaks", headers=self.issuer.service())
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def manager(self) -> dict[str, str]:
        """The header of a campaign manager."""
        return self.issuer.staff("campaign_manager")


@contextlib.asynccontextmanager
async def running_catalog(
    database: TestDatabase, issuer: Issuer, *, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Catalog]:
    """The application on a test database; its own books must balance at the end."""
    app = build(catalog_settings(database, **settings), keys=issuer, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://catalog.test", timeout=30) as client:
            catalog = Catalog(app, client, issuer)
            yield catalog
            assert not (found := await catalog.breaks()), found
