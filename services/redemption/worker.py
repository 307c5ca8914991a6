"""Redemption's worker: carries on what requests left behind, hands out, expires, sweeps."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from services.redemption.customers.use_cases import index_names_claimed
from services.redemption.measures import MEASURES
from services.redemption.parts import Parts, make_parts
from services.redemption.points.use_cases import expire_claimed
from services.redemption.reconciliation.use_cases import EVERY_SECONDS as RECONCILE_EVERY_SECONDS
from services.redemption.reconciliation.use_cases import RECONCILE, STEP, start_claimed, step_claimed
from services.redemption.redemptions.use_cases.cancel import cancel_claimed
from services.redemption.redemptions.use_cases.drive import drive_claimed
from services.redemption.redemptions.use_cases.follow import (
    consume_claimed,
    fulfil_claimed,
    release_claimed,
    sweep_claimed,
    watch_claimed,
)
from services.redemption.returns.use_cases import GIVE_BACK, give_back_claimed
from services.redemption.settings import Settings
from shared.process import run_worker
from shared.tasks import Again, Claim, Handler, Lane, Schedule, Worker

HOUR, MINUTE = 3_600, 60

SCHEDULES = [
    Schedule("sweep", "sweep", MINUTE),
    # Every hour, since a schedule knows no time zones: the first run after the bank's midnight finds the work.
    Schedule("expire", "expire", HOUR),
    Schedule("index_names", "index_names", HOUR),
    Schedule(RECONCILE, RECONCILE, RECONCILE_EVERY_SECONDS),
]


def lanes(parts: Parts) -> list[Lane]:
    """What this worker does, in lanes that do not hold each other up."""

    def handler(kind: str, use_case: _UseCase) -> Handler:
        return Handler(kind, partial(use_case, parts))

    return [
        Lane("drive", [handler("drive", drive_claimed), handler("release", release_claimed)], batch=64),
        Lane("fulfil", [handler("fulfil", fulfil_claimed)], batch=64),
        Lane("cancel", [handler("cancel", cancel_claimed)], batch=64),
        Lane("watch", [handler("watch", watch_claimed)], batch=64),
        Lane("consume", [handler("consume", consume_claimed), handler(GIVE_BACK, give_back_claimed)], batch=64),
        Lane(
            "housekeeping",
            [
                handler("sweep", sweep_claimed),
                handler("expire", expire_claimed),
                handler("index_names", index_names_claimed),
            ],
            batch=4,
        ),
        Lane("reconcile", [handler(RECONCILE, start_claimed), handler(STEP, step_claimed)], batch=1),
    ]


_UseCase = Callable[[Parts, Sequence[Claim]], Awaitable[Mapping[UUID, Again] | None]]


def make_worker(parts: Parts) -> Worker:
    """The worker, ready to run."""
    return Worker(parts.database, parts.tasks, parts.clock, lanes(parts), SCHEDULES, MEASURES)


def main() -> None:
    """The process."""
    run_worker("redemption", Settings, make_parts, make_worker)


if __name__ == "__main__":
    main()
