"""Fulfillment's worker: `python -m services.fulfillment.worker`. It mirrors merchants and expires vouchers."""

from services.fulfillment.merchants.use_cases import EVERY_SECONDS, MIRRORING
from services.fulfillment.parts import Parts, make_parts
from services.fulfillment.settings import Settings
from services.fulfillment.vouchers.use_cases import EXPIRY
from shared.process import run_worker
from shared.tasks import Handler, Lane, Schedule, Worker

EXPIRY_EVERY_SECONDS = 3600
"""Vouchers end with the bank's day, and schedules count in UTC: every hour is soon enough in every time zone."""


def make_worker(parts: Parts) -> Worker:
    """Lanes and schedules of fulfillment. The mirror has a lane of its own: a slow catalog holds up nothing else."""
    lanes = [
        Lane("merchants", [Handler(MIRRORING, parts.mirror.mirror)], batch=1),
        Lane("housekeeping", [Handler(EXPIRY, parts.wallet.expire)], batch=1),
    ]
    schedules = [
        Schedule(MIRRORING, MIRRORING, EVERY_SECONDS),
        Schedule(EXPIRY, EXPIRY, EXPIRY_EVERY_SECONDS),
    ]
    return Worker(parts.database, parts.tasks, parts.clock, lanes, schedules)


def main() -> None:
    """The process."""
    run_worker("fulfillment", Settings, make_parts, make_worker)


if __name__ == "__main__":
    main()
