"""Prepares the copies of the databases in which PostgreSQL is measured alone, one function a transaction."""

import json
from pathlib import Path

import psycopg

from benchmarks import scenery
from benchmarks.lab import COPIES, Lab
from benchmarks.pgbench import Pgbench
from deploy.local.suite import CHECKOUT

HERE = CHECKOUT / "benchmarks"
REDEEM = "\\set caller random(1, :callers)\n\\set offer random(1, :offers)\nSELECT bench.redeem(:caller, :offer);\n"
USE = "\\set till random(1, :tills)\nSELECT bench.use(:till);\n"
BULK_VOUCHERS = 4_000
_OFFERS = b"""
    SELECT o.campaign_code, o.id, v.number, v.price_points,
           CAST(v.content -> 'limits' ->> 'per_customer' AS int), CAST(v.content -> 'limits' ->> 'per_day' AS int),
           v.content -> 'reward' ->> 'code', v.content -> 'reward' -> 'names'
      FROM offers o JOIN offer_versions v ON v.offer_id = o.id AND v.number = o.live_version
     WHERE o.campaign_code = %s ORDER BY o.code
"""


def redemptions_alone(lab: Lab) -> Pgbench:
    """One redemption a transaction, in a copy of redemption's database."""
    server = lab.suite.postgres()
    with psycopg.connect(server.url("catalog")) as catalog, psycopg.connect(server.url(COPIES["redemption"])) as copy:
        copy.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        copy.execute(_script("one_redemption.sql"))
        for number, (*row, names) in enumerate(catalog.execute(_OFFERS, [scenery.MAIN]), start=1):
            place = ", ".join(["%s"] * (len(row) + 2))
            copy.execute(f"INSERT INTO bench.offers VALUES ({place})".encode(), [number, *row, json.dumps(names)])
        copy.execute("ANALYZE bench.offers")
    return Pgbench(server, COPIES["redemption"], REDEEM, {"callers": scenery.CUSTOMERS, "offers": scenery.MAIN_OFFERS})


def uses_alone(lab: Lab, *, vouchers: int) -> Pgbench:
    """One use of a voucher a transaction, in a copy of fulfillment's database with at least so many vouchers."""
    server = lab.suite.postgres()
    with psycopg.connect(server.url(COPIES["fulfillment"])) as copy:
        copy.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        copy.execute(_script("one_use.sql").replace(b":copies", str(-(-vouchers // BULK_VOUCHERS)).encode()))
    return Pgbench(server, COPIES["fulfillment"], USE, {"tills": scenery.MERCHANTS * scenery.TILLS})


def _script(name: str) -> bytes:
    return Path(HERE / name).read_bytes()
