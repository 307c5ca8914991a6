"""The caller, as a verified token describes it."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["customer", "staff", "merchant", "service"]


@dataclass(frozen=True)
class Principal:
    """Who calls: a customer, a member of staff, a merchant's till, or a service."""

    kind: Kind
    issuer: str
    subject: str
    client_id: str
    scopes: frozenset[str]
    roles: frozenset[str] = frozenset()
    person: str | None = None
    branch: str | None = None
    merchant: str | None = None
    terminal: str | None = None

    @property
    def actor(self) -> str:
        """The name under which audit rows and timelines keep this caller: stable, and no personal data."""
        return f"{self.kind}:{self.person or self.subject}"


def principal_from(claims: dict[str, Any]) -> Principal:
    """Read the claims of a token that was verified. Raises KeyError, TypeError or ValueError when one is missing or odd."""
    kind = claims["kind"]
    if kind not in ("customer", "staff", "merchant", "service"):
        raise ValueError("kind")
    person, branch, merchant, terminal = (_word(claims, name) for name in ("person", "branch", "merchant", "terminal"))
    if kind == "merchant" and not (merchant and terminal):
        raise ValueError("merchant")
    roles = claims.get("roles", ())
    if isinstance(roles, str):
        raise TypeError("roles")
    return Principal(
        kind=kind,
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        client_id=str(claims["client_id"]),
        scopes=frozenset(str(claims.get("scope", "")).split()),
        roles=frozenset(str(role) for role in roles),
        person=person,
        branch=branch,
        merchant=merchant,
        terminal=terminal,
    )


def _word(claims: dict[str, Any], name: str) -> str | None:
    """A claim that is text where it is there: two people are told apart by one of them, and tills by two others."""
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value
