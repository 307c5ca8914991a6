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
    if kind == "merchant" and not (claims.get("merchant") and claims.get("terminal")):
        raise ValueError("merchant")
    return Principal(
        kind=kind,
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        client_id=str(claims["client_id"]),
        scopes=frozenset(str(claims.get("scope", "")).split()),
        roles=frozenset(str(role) for role in claims.get("roles", ())),
        person=claims.get("person"),
        branch=claims.get("branch"),
        merchant=claims.get("merchant"),
        terminal=claims.get("terminal"),
    )
