"""What the worker says of redemptions in numbers: for how long they have been on their way, and what reconciling found."""

import time

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.reconciliation.domain import NOBODYS, OWNERS
from services.redemption.redemptions.domain import LIVE
from shared.metrics import set_all

REDEMPTIONS = Gauge("huangou_redemptions", "Redemptions under way, by state.", ["state"])
AGES = Gauge(
    "huangou_redemption_age_seconds",
    "For how long redemptions have been in a state: `max`, and `p99` of those that are in it now.",
    ["state", "of"],
)
BREAKS = Gauge("huangou_breaks_open", "Breaks that reconciling found and that are still there, by kind.", ["kind"])
RECONCILED = Gauge(
    "huangou_reconciled_age_seconds",
    "Since the last run of reconciling that came to its end; while there is none, since the first run or the start.",
)
STARTED_AT = time.monotonic()

_LIVE = ", ".join(f"'{state.value}'" for state in sorted(LIVE))
# The literals are those of the index on live redemptions: it is read, and not the table.
_AGES = text(
    f"""
    SELECT state, count(*) AS number, max(age) AS oldest, percentile_disc(0.99) WITHIN GROUP (ORDER BY age) AS p99
      FROM (SELECT state, greatest(extract(epoch FROM clock_timestamp() - changed_at), 0) AS age
              FROM redemptions WHERE state IN ({_LIVE})) AS live
     GROUP BY state
    """
)
_BREAKS = text("SELECT kind, count(*) AS number FROM breaks WHERE ended_at IS NULL GROUP BY kind")
_RECONCILED = text(
    """
    SELECT extract(epoch FROM clock_timestamp() - coalesce(
               (SELECT max(ended_at) FROM reconciliation_runs WHERE ended_at IS NOT NULL AND error IS NULL),
               (SELECT min(started_at) FROM reconciliation_runs)))
    """
)


async def measure_redemptions(conn: AsyncConnection) -> None:
    """How many are in each state, and for how long."""
    rows = {row.state: row for row in await conn.execute(_AGES)}
    for state in sorted(LIVE):
        row = rows.get(state.value)
        REDEMPTIONS.labels(state.value).set(row.number if row else 0)
        AGES.labels(state.value, "max").set(float(row.oldest) if row else 0)
        AGES.labels(state.value, "p99").set(float(row.p99) if row else 0)


async def measure_reconciling(conn: AsyncConnection) -> None:
    """What is wrong, and when the last look was."""
    found = {row.kind: row.number for row in await conn.execute(_BREAKS)}
    # A kind that only a newer neighbour knows has no series of its own, since nobody bounds what it may be called.
    strange = sum(number for kind, number in found.items() if kind not in OWNERS)
    known = {kind: float(found.get(kind, 0)) for kind in OWNERS}
    set_all(BREAKS, OWNERS, known | {NOBODYS: float(strange)})
    seconds = (await conn.execute(_RECONCILED)).scalar_one()
    RECONCILED.set(time.monotonic() - STARTED_AT if seconds is None else max(0.0, float(seconds)))


MEASURES = (measure_redemptions, measure_reconciling)
