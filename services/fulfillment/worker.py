"""Fulfillment's worker: `python -m services.fulfillment.worker`. It mirrors merchants, expires vouchers, purges tasks."""

import asyncio
from collections.abc import Sequence

from services.fulfillment.merchants.use_cases import EVERY_SECONDS, MIRRORING
from services.fulfillment.parts import Parts, make_parts
from services.fulfillment.settings import Settings
from services.fulfillment.vouchers.use_cases import EXPIRY
from shared.logs import configure_logs
from shared.process import serve_worker
from shared.settings import load
from shared.tasks import Claim, Handler, Lane, Schedule, Worker
from shared.tasks.worker import DONE_KEPT_SECONDS
from shared.telemetry import configure_telemetry

PURGE = "purge_done_tasks"
PURGE_EVERY_SECONDS = 600
EXPIRY_EVERY_SECONDS = 3600
"""Vouchers end with the bank's day, and schedules count in UTC: every hour is soon enough in every time zone."""


def make_worker(parts: Parts) -> Worker:
    """Lanes and schedules of fulfillment. The mirror has a lane of its own: a slow catalog holds up nothing else."""

    async def purge(claims: Sequence[Claim]) -> None:
        async with parts.database.transaction() as conn:
            if await parts.tasks.finish(conn, claims):
                await parts.tasks.purge_done(conn, older_than_seconds=DONE_KEPT_SECONDS)

    lanes = [
        Lane("merchants", [Handler(MIRRORING, parts.mirror.mirror)], batch=1),
        Lane("housekeeping", [Handler(EXPIRY, parts.wallet.expire), Handler(PURGE, purge)], batch=1),
    ]
    schedules = [
        Schedule(MIRRORING, MIRRORING, EVERY_SECONDS),
        Schedule(EXPIRY, EXPIRY, EXPIRY_EVERY_SECONDS),
        Schedule(PURGE, PURGE, PURGE_EVERY_SECONDS),
    ]
    return Worker(parts.database, parts.tasks, parts.clock, lanes, schedules)


async def run(settings: Settings) -> None:
    """Work until SIGTERM."""
    parts = make_parts(settings)
    try:
        await serve_worker(make_worker(parts), parts.ready, port=settings.worker_port)
    finally:
        await parts.close()


def main() -> None:
    """The process."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="fulfillment-worker")
    configure_telemetry(service="fulfillment-worker", otlp_endpoint=settings.otlp_endpoint)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
