"""A break: something in the books that cannot be."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """What is wrong (`kind`), with what (`subject`), in which service's books, and how it shows."""

    service: str
    kind: str
    subject: str
    detail: str


def lasting(first: Iterable[Break], second: Iterable[Break]) -> list[Break]:
    """Live books are read without a common snapshot: a difference counts when it still stands a while later."""
    stood = {(b.service, b.kind, b.subject) for b in first}
    return sorted(b for b in second if (b.service, b.kind, b.subject) in stood)
