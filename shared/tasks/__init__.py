"""Work that must happen: outbox, timers and schedules in one small table a service.

A task is written in the transaction that makes it necessary. A worker claims it under a lease with a fencing token; the
transaction that finishes it starts by showing that token, so a worker that was paused too long commits nothing. Claims that
never came back are counted when claimed, so a task that kills its process is parked after five; clean failures back off.
"""

from shared.tasks.queue import Again, Claim, NewTask, Tasks
from shared.tasks.tables import define_tasks
from shared.tasks.worker import Handler, Lane, Measure, Schedule, Worker

__all__ = [
    "Again",
    "Claim",
    "Handler",
    "Lane",
    "Measure",
    "NewTask",
    "Schedule",
    "Tasks",
    "Worker",
    "define_tasks",
]
