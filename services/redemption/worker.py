"""Redemption's worker: carries on what requests left behind, hands out, expires, sweeps."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from services.redemption.parts import Parts, make_parts
from services.redemption.points.use_cases import expire_claimed
from services.redemption.redemptions.use_cases.drive import drive_claimed
from services.redemption.redemptions.use_cases.follow import (
    consume_claimed,
    fulfil_claimed,
    purge_claimed,
    release_claimed,
    sweep_claimed,
)
from services.redemption.settings import Settings
from shared.logs import configure_logs
from shared.process import serve_worker
from shared.settings import load
from shared.tasks import Again, Claim, Handler, Lane, Schedule, Worker
from shared.telemetry import configure_telemetry

DAY, HOUR, MINUTE = 86_400, 3_600, 60

SCHEDULES = [
    Schedule("sweep", "sweep", MINUTE),
    # Every hour, since a schedule knows no time zones: only the first run after the bank's midnight finds anything.
    Schedule("expire", "expire", HOUR),
    Schedule("purge", "purge", HOUR),
]


def lanes(parts: Parts) -> list[Lane]:
    """What this worker does, in lanes that do not hold each other up."""

    def handler(kind: str, use_case: _UseCase) -> Handler:
        return Handler(kind, partial(use_case, parts))

    return [
        Lane("drive", [handler("drive", drive_claimed), handler("release", release_claimed)], batch=64),
        Lane("fulfil", [handler("fulfil", fulfil_claimed)], batch=64),
        Lane("consume", [handler("consume", consume_claimed)], batch=64),
        Lane(
            "housekeeping",
            [handler("sweep", sweep_claimed), handler("expire", expire_claimed), handler("purge", purge_claimed)],
            batch=4,
        ),
    ]


_UseCase = Callable[[Parts, Sequence[Claim]], Awaitable[Mapping[UUID, Again] | None]]


def worker_of(parts: Parts) -> Worker:
    """The worker, ready to run."""
    return Worker(parts.database, parts.tasks, parts.clock, lanes(parts), SCHEDULES)


async def main() -> None:
    """Run until told to stop."""
    settings = load(Settings)
    configure_logs(settings.log_level, service="redemption-worker")
    configure_telemetry(service="redemption-worker", otlp_endpoint=settings.otlp_endpoint)
    parts = make_parts(settings)
    try:
        await serve_worker(worker_of(parts), parts.ready, port=settings.worker_port)
    finally:
        await parts.close()


if __name__ == "__main__":
    asyncio.run(main())
