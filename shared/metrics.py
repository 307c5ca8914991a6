"""What every process counts. Names and labels carry no personal data."""

from prometheus_client import Counter, Gauge, Histogram

TASKS = Counter("huangou_tasks_total", "Tasks handled, by kind and outcome.", ["kind", "outcome"])
BATCH_SIZE = Histogram(
    "huangou_batch_commands",
    "Commands carried out in one set.",
    ["name"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
CALLS = Counter(
    "huangou_calls_total",
    "Calls to other services, by service and outcome.",
    ["service", "outcome"],
)
FENCES_LOST = Counter(
    "huangou_fences_lost_total",
    "Work dropped because its lease had gone to another worker.",
    ["kind"],
)
TASKS_PARKED = Gauge("huangou_tasks_parked", "Tasks set aside for a person.")
TASK_OLDEST_DUE = Gauge("huangou_task_oldest_due_seconds", "Age of the oldest task that is due.")
