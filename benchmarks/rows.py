"""Checks that the SQL functions leave the same rows as the services: every column but ids, instants and hashes."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from benchmarks import scenery
from benchmarks.lab import COPIES, Lab
from deploy.local.failure import CannotStart
from deploy.local.postgres import EmbeddedPostgres

CALLER, OFFER = 4_001, 7
REDEMPTION_TABLES = {
    "redemptions": "id = %(id)s",
    "redemption_lines": "redemption_id = %(id)s",
    "redemption_events": "redemption_id = %(id)s",
    "holds": "redemption_id = %(id)s",
    "postings": "redemption_id = %(id)s",
    "idempotency_keys": "resource_id = %(id)s",
    "tasks": "ref = %(id)s",
    "audit_entries": "subject = 'redemption:' || %(id)s",
    "accounts": "id = (SELECT account_id FROM redemptions WHERE id = %(id)s)",
    "lots": "account_id = (SELECT account_id FROM redemptions WHERE id = %(id)s)",
    "limit_counters": "customer_id = (SELECT customer_id FROM redemptions WHERE id = %(id)s)",
}
USE_TABLES = {
    "uses": "id = %(id)s",
    "vouchers": "id = (SELECT voucher_id FROM uses WHERE id = %(id)s)",
    "audit_entries": "subject IN ('use:' || %(id)s, 'voucher:' || (SELECT voucher_id FROM uses WHERE id = %(id)s))",
}


async def compare_redemption(lab: Lab) -> int:
    """Redeem once through the service and once by the function, as the same customer; answers how many rows were compared."""
    before = await _tables_with_rows(lab, "redemption")
    offer = scenery.main_offers()[OFFER - 1][1]
    answer = await lab.speaker.call(
        "POST", "redemption", "/v1/redemptions", who=scenery.subject(CALLER), headers={"Idempotency-Key": str(uuid4())},
        json={"campaign": scenery.MAIN, "lines": [{"offer_id": offer, "offer_version": 1, "quantity": 1}]},
    )  # fmt: skip
    grown = {table for table, count in (await _tables_with_rows(lab, "redemption")).items() if count > before[table]}
    if grown - REDEMPTION_TABLES.keys():
        raise CannotStart(f"The service writes tables that are not compared: {sorted(grown - REDEMPTION_TABLES.keys())}")
    server = lab.suite.postgres()
    with psycopg.connect(server.url(COPIES["redemption"])) as copy:
        made = copy.execute("SELECT bench.redeem(%s, %s)", [CALLER, OFFER]).fetchone()
    assert made is not None
    theirs = _rows(server, "redemption", REDEMPTION_TABLES, UUID(answer.json()["id"]))
    return _same(theirs, _rows(server, COPIES["redemption"], REDEMPTION_TABLES, made[0]))


async def compare_use(lab: Lab, code: str) -> int:
    """Use the first voucher once through the service and once by the function, at the same till."""
    merchant, terminal = scenery.tills()[0]
    number, server = uuid4(), lab.suite.postgres()
    path, till = f"/v1/uses/{number}", f"till:{merchant}:{terminal}"
    await lab.speaker.call("PUT", "fulfillment", path, who=till, json={"code": code})
    use_id = (await lab.ask("fulfillment", f"SELECT id FROM uses WHERE request_number = '{number}'"))[0][0]
    with psycopg.connect(server.url(COPIES["fulfillment"])) as copy:
        made = copy.execute("SELECT bench.use(1)").fetchone()
    assert made is not None
    theirs = _rows(server, "fulfillment", USE_TABLES, use_id)
    return _same(theirs, _rows(server, COPIES["fulfillment"], USE_TABLES, made[0]))


async def _tables_with_rows(lab: Lab, database: str) -> dict[str, int]:
    names = [name for (name,) in await lab.ask(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in names)
    return dict(await lab.ask(database, counts))


def _rows(server: EmbeddedPostgres, database: str, tables: dict[str, str], found: UUID) -> dict[str, list[str]]:
    with psycopg.connect(server.url(database), row_factory=dict_row) as conn:
        return {
            table: sorted(
                json.dumps({name: _plain(value) for name, value in row.items() if name != "id"}, sort_keys=True)
                for row in conn.execute(f"SELECT * FROM {table} WHERE {where}".encode(), {"id": found})
            )
            for table, where in tables.items()
        }


def _plain(value: Any) -> Any:
    """A value without what differs by nature: ids made for it, instants, hashes."""
    if isinstance(value, UUID):
        return "id"
    if isinstance(value, datetime):
        return "instant"
    if isinstance(value, bytes):
        return _text(value.decode()) if value[:1] == b"{" else f"{len(value)} bytes"
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> Any:
    if value[:1] == "{":
        return _plain(json.loads(value))
    for reading in (UUID, datetime.fromisoformat):
        try:
            reading(value)
        except ValueError:
            continue
        return "id" if reading is UUID else "instant"
    kind, colon, rest = value.rpartition(":")
    place, slash, last = value.rpartition("/")
    if colon and len(rest) == 36:
        return f"{kind}:id"
    return f"{place}/id" if slash and len(last) == 36 else value


def _same(theirs: dict[str, list[str]], ours: dict[str, list[str]]) -> int:
    for table, rows in theirs.items():
        if rows != ours[table]:
            raise CannotStart(f"The function leaves other rows in {table} than the service:\n{rows}\n{ours[table]}")
        if not rows:
            raise CannotStart(f"Nothing to compare was found in {table}.")
    return sum(map(len, theirs.values()))
