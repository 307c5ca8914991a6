"""Fulfillment's worker: `python -m services.fulfillment.worker`. It sends parcels off, reports, tells customers, expires."""

from services.fulfillment.carriers.use_cases import APPLYING, FOLLOWING
from services.fulfillment.merchants.use_cases import EVERY_SECONDS, MIRRORING
from services.fulfillment.notices.requesting import NOTIFYING
from services.fulfillment.parcels.changes import REPORT
from services.fulfillment.parcels.packing import DISPATCH
from services.fulfillment.parcels.waiting import PICKUP_EXPIRY, PICKUP_REMINDERS
from services.fulfillment.parts import Parts, make_parts
from services.fulfillment.settings import Settings
from services.fulfillment.vouchers.use_cases import EXPIRY
from shared.process import run_worker
from shared.tasks import Handler, Lane, Schedule, Worker

EXPIRY_EVERY_SECONDS = 3600
"""Vouchers and pickups end with the bank's day, and schedules count in UTC: every hour is soon enough in every time zone."""
CALLS_AT_ONCE_MAX = 8
"""Of tasks that each make a call to an outside system: one may take five seconds, and a step has ten."""
REPORTS_AT_ONCE_MAX = 64


def make_worker(parts: Parts) -> Worker:
    """Lanes and schedules of fulfillment. Whoever is asked has a lane of its own: one that is slow holds up nothing else."""
    lanes = [
        Lane("merchants", [Handler(MIRRORING, parts.mirror.mirror)], batch=1),
        Lane("dispatch", [Handler(DISPATCH, parts.dispatching.dispatch)], batch=CALLS_AT_ONCE_MAX),
        Lane("report", [Handler(REPORT, parts.reporting.report)], batch=REPORTS_AT_ONCE_MAX),
        Lane("carrier events", [Handler(APPLYING, parts.carrier_events.apply_waiting)]),
        Lane("following", [Handler(FOLLOWING, parts.carrier_events.follow)], batch=CALLS_AT_ONCE_MAX),
        Lane("notices", [Handler(NOTIFYING, parts.notices.notify)], batch=CALLS_AT_ONCE_MAX),
        Lane(
            "housekeeping",
            [
                Handler(EXPIRY, parts.wallet.expire),
                Handler(PICKUP_EXPIRY, parts.waiting.expire),
                Handler(PICKUP_REMINDERS, parts.waiting.remind),
            ],
            batch=1,
        ),
    ]
    schedules = [
        Schedule(MIRRORING, MIRRORING, EVERY_SECONDS),
        *(Schedule(kind, kind, EXPIRY_EVERY_SECONDS) for kind in (EXPIRY, PICKUP_EXPIRY, PICKUP_REMINDERS)),
    ]
    return Worker(parts.database, parts.tasks, parts.clock, lanes, schedules)


def main() -> None:
    """The process."""
    run_worker("fulfillment", Settings, make_parts, make_worker)


if __name__ == "__main__":
    main()
