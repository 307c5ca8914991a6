"""A damage: what is done to one service's database past all guards, and what reconcile then says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """What is done to one service's database, and exactly what is then found (more than one: what follows from it)."""

    name: str
    service: str
    statements: tuple[str, ...]
    found: frozenset[tuple[str, str, str]]


def damage(name: str, service: str, *statements: str, found: dict[str, str]) -> Damage:
    """`found`: kind -> subject; the kind may begin with the service in whose books it is, else it is the damaged one's."""
    breaks = []
    for kind, subject in found.items():
        owner, _, bare = kind.rpartition("/")
        breaks.append((owner or service, bare, subject))
    return Damage(name, service, statements, frozenset(breaks))
