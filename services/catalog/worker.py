"""The catalog's worker: `python -m services.catalog.worker`. It has no work of its own yet; it keeps the task table small."""

from services.catalog.parts import Parts, make_parts
from services.catalog.settings import Settings
from shared.process import run_worker
from shared.tasks import Worker


def make_worker(parts: Parts) -> Worker:
    """No lane yet. Answers kept under idempotency keys are never purged."""
    return Worker(parts.database, parts.tasks, parts.clock, lanes=())


def main() -> None:
    """The process."""
    run_worker("catalog", Settings, make_parts, make_worker)


if __name__ == "__main__":
    main()
