"""A small world with a redemption in every state, and damage planted in its databases past every guard."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from services.catalog.campaigns.domain import offer_id
from services.redemption.redemptions.use_cases import redeem
from shared.tasks import Worker
from tests.support.catalog import CAMPAIGN, batch_row, goods_row, offer_row, reward_row
from tests.support.fulfillment import branch, know_merchants
from tests.support.goods import Shop
from tests.support.postgres import TestDatabase, TestServer
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

LIMIT = 9


@dataclass
class World:
    """The suite at rest, its databases, and the ids of what stands in them."""

    suite: Suite
    databases: dict[str, TestDatabase]
    facts: dict[str, str] = field(default_factory=dict)

    async def breaks(self) -> set[tuple[str, str, str]]:
        """What reconcile names: service, kind, subject."""
        return {(found.service, found.kind, found.subject) for found in await self.suite.breaks()}

    def value(self, service: str, query: str, *values: Any) -> str:
        """One value from a service's database, as text."""
        with psycopg.connect(self.databases[service].superuser_url) as conn:
            row = conn.execute(query, values).fetchone()
        assert row is not None, query
        return str(row[0])

    def filled(self, words: str) -> str:
        """The text with this world's ids in it."""
        return words.format_map(self.facts)

    @contextlib.contextmanager
    def damaged(self, service: str, *statements: str) -> Iterator[None]:
        """Carry out statements as the superuser with triggers and foreign keys off, and put all tables back afterwards."""
        with self.kept(service), self.unguarded(service) as conn:
            for statement in statements:
                assert conn.execute(self.filled(statement).encode()).rowcount != 0, statement
            conn.commit()
            yield

    @contextlib.contextmanager
    def kept(self, service: str) -> Iterator[None]:
        """Whatever happens to a service's tables, indexes and checks meanwhile is undone at the end."""
        with self.unguarded(service) as conn:
            tables = [name for (name,) in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            indexes = dict(conn.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall())
            checks = _checks(conn)
            conn.execute("CREATE SCHEMA kept")
            for name in map(sql.Identifier, tables):
                conn.execute(sql.SQL("CREATE TABLE kept.{0} AS TABLE public.{0}").format(name))
            conn.commit()
            try:
                yield
            finally:
                for name in map(sql.Identifier, tables):
                    conn.execute(sql.SQL("DELETE FROM public.{}").format(name))
                    conn.execute(sql.SQL("INSERT INTO public.{0} OVERRIDING SYSTEM VALUE TABLE kept.{0}").format(name))
                left = {name for (name,) in conn.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
                for name in indexes.keys() - left:
                    conn.execute(indexes[name].encode())
                for check in checks.keys() - _checks(conn).keys():
                    conn.execute(f"ALTER TABLE {check[1]} ADD CONSTRAINT {check[0]} {checks[check]}".encode())
                conn.execute("DROP SCHEMA kept CASCADE")
                conn.commit()

    @contextlib.contextmanager
    def unguarded(self, service: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.databases[service].superuser_url) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.commit()
            yield conn


def _checks(conn: psycopg.Connection[Any]) -> dict[tuple[str, str], str]:
    """The definition of every check, by its name and its table."""
    found = conn.execute(
        "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0"
    )
    return {(name, table): definition for name, table, definition in found}


@contextlib.asynccontextmanager
async def running_world(postgres: TestServer, issuer: Issuer) -> AsyncIterator[World]:
    """The world as the fixtures hand it out."""
    databases: dict[str, TestDatabase] = {}

    def database_of(service: str) -> TestDatabase:
        databases[service] = postgres.database(service)
        return databases[service]

    try:
        async with running_suite(database_of, issuer, check=False) as suite:
            await suite.catalog.open(
                rewards=[reward_row("R1"), reward_row("R2"), goods_row("R3"), goods_row("R4")],
                offers=[
                    offer_row("O1", limit_per_customer=LIMIT),
                    offer_row("O2", "R2"),
                    offer_row("O3", "R3", limit_per_customer=LIMIT),
                    offer_row("O4", "R4"),
                ],
                stock_batches=[
                    batch_row("B1", "R1"),
                    batch_row("B2", "R2", 1),
                    batch_row("B3", "R3"),
                    batch_row("B4", "R4"),
                ],
            )
            know_merchants(databases["fulfillment"], "M001")
            world = World(suite, databases)
            await _live(world)
            yield world
    finally:
        for database in databases.values():
            postgres.drop(database)


async def _live(world: World) -> None:
    """One redemption ends in each state; the workers do nothing afterwards."""
    suite, facts = world.suite, world.facts
    goods = await _deliver(world)
    anna, bert = await suite.add_customers(20_000, 20_000)
    for name in ("used", "fulfilled"):
        facts[name] = (await suite.redeem(anna, ("O1", 2))).json()["id"]
    await suite.drain()
    facts["sold_last"] = (await suite.redeem(bert, ("O2", 1))).json()["id"]
    declined = await suite.redeem(bert, ("O2", 1))
    assert declined.status_code == 409, declined.text
    facts["declined"] = declined.json()["redemption_id"]
    await suite.drain()
    facts["handed_out"] = (await suite.redeem(bert)).json()["id"]
    facts["prepared"] = (await goods.redeem(("O3", 1), delivery=goods.by_courier())).json()["id"]
    await suite.worker.run_once(lane(suite.worker, "fulfil"))
    facts["confirmed"] = (await suite.redeem(bert)).json()["id"]
    facts["accepted"] = await _left_accepted(world, bert)
    await _use_a_voucher(world, anna)
    _name_the_rest(world)


async def _deliver(world: World) -> Shop:
    """Goods of one customer: on their way, at a branch, come back, cancelled."""
    suite, facts = world.suite, world.facts
    shop = Shop(suite, world.databases.__getitem__)
    headers = suite.issuer.service("bank-feeds", "feeds:write")
    written = await suite.tills.put("/v1/branches", json={"items": [branch("B001")]}, headers=headers)
    assert written.status_code == 200, written.text
    await shop.new_customer(20_000)
    facts["cancelled"] = await shop.order(("O3", 1))
    cancelled = await shop.cancel(facts["cancelled"])
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled"), cancelled.text
    facts["came_back"] = await shop.order(("O3", 2))
    facts["sent"] = await shop.order(("O3", 1), ("O4", 1))
    facts["ready"] = await shop.order(("O3", 1), way="pickup")
    await suite.drain()
    await suite.drain()
    facts["ready_parcel"] = _parcel(world, facts["ready"])
    counter = suite.issuer.staff("branch", branch="B001")
    arrived = await suite.tills.put(f"/v1/parcels/{facts['ready_parcel']}/arrival", headers=counter)
    assert arrived.status_code == 200, arrived.text
    await shop.happens(facts["came_back"], "picked_up", "returned")
    assert (await shop.seen(facts["came_back"]))["state"] == "returned"
    return shop


def _parcel(world: World, redemption_id: str) -> str:
    return world.value("fulfillment", "SELECT id FROM parcels WHERE fulfillment_id = %s", redemption_id)


def lane(worker: Worker, name: str) -> Any:
    """One of a worker's lanes."""
    return next(lane for lane in worker._lanes if lane.name == name)


async def _left_accepted(world: World, subject: str) -> str:
    """The catalog is away: the request leaves its redemption to the worker, which does not come."""
    world.suite.network.faults["catalog.test"] = "down"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redeem, "ANSWER_SECONDS", 0.0)
        answer = await world.suite.redeem(subject)
    world.suite.network.faults.clear()
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


async def _use_a_voucher(world: World, subject: str) -> None:
    suite, facts = world.suite, world.facts
    headers = suite.issuer.customer(subject)
    wallet = (await suite.tills.get("/v1/vouchers", headers=headers)).json()["items"]
    facts["voucher"] = next(v["id"] for v in wallet if v["fulfillment_id"] == facts["used"])
    facts["unused_voucher"] = next(v["id"] for v in wallet if v["fulfillment_id"] == facts["fulfilled"])
    code = (await suite.tills.get(f"/v1/vouchers/{facts['voucher']}/code", headers=headers)).json()["code"]
    used = await suite.tills.put("/v1/uses/N-1", json={"code": code}, headers=suite.issuer.till())
    assert used.status_code == 200, used.text
    facts["use"] = world.value("fulfillment", "SELECT id FROM uses")


def _name_the_rest(world: World) -> None:
    facts = world.facts
    facts |= {"sent_parcel": _parcel(world, facts["sent"]), "returned_parcel": _parcel(world, facts["came_back"])}
    facts["prepared_parcel"] = _parcel(world, facts["prepared"])
    of_parcel = "SELECT tracking_number FROM parcels WHERE id = %s"
    facts["tracking_number"] = world.value("fulfillment", of_parcel, facts["returned_parcel"])
    of_ready = "SELECT id FROM notices WHERE parcel_id = %s"
    facts["notice"] = world.value("fulfillment", of_ready, facts["ready_parcel"])
    used = facts["used"]
    for name in ("customer", "account"):
        facts[name] = world.value("redemption", f"SELECT {name}_id FROM redemptions WHERE id = %s", used)
    facts["lot"] = world.value("redemption", "SELECT lot_id FROM holds WHERE redemption_id = %s", used)
    of_account = "SELECT max(number) FROM postings WHERE account_id = %s"
    facts["last"] = world.value("redemption", of_account, facts["account"])
    facts["spent"] = world.value("redemption", "SELECT max(number) FROM postings WHERE redemption_id = %s", used)
    facts |= {"campaign": CAMPAIGN, "offer": str(offer_id(CAMPAIGN, "O1")), "unknown": "00000000-0000-7000-8000-000000000001"}
    facts["batch"] = world.value("catalog", "SELECT id FROM stock_batches WHERE code = 'B1'")
    facts["budget"] = world.value("catalog", "SELECT line FROM budget_lines")
