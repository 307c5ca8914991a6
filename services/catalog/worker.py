"""The catalog's worker: `python -m services.catalog.worker`. It keeps the task table small."""

import asyncio
from collections.abc import Sequence

from services.catalog.parts import Parts, make_parts
from services.catalog.settings import Settings
from shared.logs import configure_logs
from shared.process import serve_worker
from shared.settings import load
from shared.tasks import Claim, Handler, Lane, Schedule, Worker
from shared.tasks.worker import DONE_KEPT_SECONDS
from shared.telemetry import configure_telemetry

PURGE = "purge_done_tasks"
PURGE_EVERY_SECONDS = 600


def make_worker(parts: Parts) -> Worker:
    """Lanes and schedules of the catalog. Answers kept under idempotency keys are never purged."""

    async def purge(claims: Sequence[Claim]) -> None:
        async with parts.database.transaction() as conn:
            if await parts.tasks.finish(conn, claims):
                await parts.tasks.purge_done(conn, older_than_seconds=DONE_KEPT_SECONDS)

    lanes = [Lane("housekeeping", [Handler(PURGE, purge)], batch=1)]
    return Worker(parts.database, parts.tasks, parts.clock, lanes, [Schedule(PURGE, PURGE, PURGE_EVERY_SECONDS)])


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
    configure_logs(settings.log_level, service="catalog-worker")
    configure_telemetry(service="catalog-worker", otlp_endpoint=settings.otlp_endpoint)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
