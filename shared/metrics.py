"""What every process counts; docs/metrics.md tells of each.

Names and labels carry no personal data, and every label has few values: kinds, states, services, templates of addresses.
"""

from collections.abc import Collection, Mapping

from prometheus_client import Counter, Gauge, Histogram

# Requests
REQUEST_SECONDS = Histogram(
    "huangou_http_request_seconds",
    "How long requests took, by method and the route's template.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
REQUESTS = Counter(
    "huangou_http_requests_total",
    "Requests answered, by method, the route's template and status.",
    ["method", "route", "status"],
)
REFUSALS = Counter("huangou_refusals_total", "Refusals, by the problem's code and the route's template.", ["problem", "route"])
OVERLOADED = Counter(
    "huangou_overloaded_total", "Commands turned away: no connection, too many waiting, or rows locked by others.", ["where"]
)
POOL_WAITS = Counter("huangou_pool_waits_total", "Transactions that waited for a connection longer than ten milliseconds.")
IDENTITY_KEYS = Gauge("huangou_identity_keys", "The issuer's public keys that this process can check tokens with.")
BATCH_SIZE = Histogram(
    "huangou_batch_commands",
    "Commands carried out in one set.",
    ["name"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
CALLS = Counter(
    "huangou_calls_total",
    "Calls to other services, to carriers and to the gateway for messages, by service and outcome.",
    ["service", "outcome"],
)

# Tasks
TASKS = Counter("huangou_tasks_total", "Tasks handled, by kind and outcome.", ["kind", "outcome"])
TASKS_PARKED = Gauge("huangou_tasks_parked", "Tasks set aside for a person, by kind.", ["kind"])
TASK_OLDEST_DUE = Gauge("huangou_task_oldest_due_seconds", "For how long the oldest task of a kind has been due.", ["kind"])
CLAIMS_LOST = Counter(
    "huangou_claims_lost_total", "Tasks taken again because whoever had them never came back, by kind.", ["kind"]
)
FENCES_LOST = Counter(
    "huangou_fences_lost_total",
    "Work dropped because its lease had gone to another worker.",
    ["kind"],
)


for _where in ("pool", "queue", "locks"):
    OVERLOADED.labels(_where)


def begin_at_zero(kind: str) -> None:
    """Let a kind's series be there before anything happens: a rate over one that only then appears misses the first time."""
    CLAIMS_LOST.labels(kind)
    FENCES_LOST.labels(kind)
    for outcome in ("done", "failed", "parked"):
        TASKS.labels(kind, outcome)


def set_all(gauge: Gauge, known: Collection[str], values: Mapping[str, float]) -> None:
    """Set a gauge of one label from what the database says: what is known and not told of is 0, what is gone does not stay."""
    told = dict.fromkeys(known, 0.0) | dict(values)
    for (name,) in list(gauge._metrics):
        if name not in told:
            gauge.remove(name)
    for name, value in told.items():
        gauge.labels(name).set(value)
