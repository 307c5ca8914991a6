"""Audit rows: who did what to whom, on whose behalf, why and from where, in the same commit as the change (G46, X5).

Append-only by grant. Rows carry ids and never personal data in plain; sealing them into a chain needs no change to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.clock import Clock
from shared.identity.principal import Principal
from shared.sets import insert_rows


@dataclass(frozen=True)
class Actor:
    """Who acts, through which channel, and why. A service hands on the actor that it acts for."""

    name: str
    channel: str
    reason: str = ""
    on_behalf_of: str | None = None

    @classmethod
    def of(cls, who: Principal, *, reason: str = "") -> "Actor":
        """The caller of a request."""
        return cls(name=who.actor, channel=who.client_id, reason=reason)


@dataclass(frozen=True)
class Entry:
    """One thing that was done to one subject, such as `redemption.accepted` to `redemption:<id>`."""

    action: str
    subject: str
    actor: Actor
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def look_of(actor: Actor, customer_id: UUID, what: str) -> Entry:
    """That somebody looked at a customer's data, and at which (A1)."""
    return Entry("customer.looked_up", f"customer:{customer_id}", actor, after={"what": what})


def define_audit(metadata: MetaData) -> Table:
    """Add the audit table to a service's own. Grant SELECT and INSERT on it, nothing more."""
    return Table(
        "audit_entries",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("action", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("on_behalf_of", Text),
        Column("channel", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("before", JSONB),
        Column("after", JSONB),
        CheckConstraint("length(reason) <= 500", name="reason_short"),
        Index("ix_audit_entries_subject", "subject", "id"),
    )


class Audit:
    """Writes the audit rows of one service."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def look(self, conn: AsyncConnection, clock: Clock, who: Principal, customer_id: UUID, what: str) -> None:
        """Write down that staff read a customer's data, in the transaction that reads it; customers read their own unseen."""
        if who.kind == "staff":
            await self.record(conn, await clock.now(conn), [look_of(Actor.of(who), customer_id, what)])

    async def record(self, conn: AsyncConnection, now: datetime, entries: Sequence[Entry]) -> None:
        """Write in the caller's transaction: when this fails, the change fails with it."""
        await insert_rows(
            conn,
            self._table,
            [
                {
                    "at": now,
                    "action": entry.action,
                    "subject": entry.subject,
                    "actor": entry.actor.name,
                    "on_behalf_of": entry.actor.on_behalf_of,
                    "channel": entry.actor.channel,
                    "reason": entry.actor.reason,
                    "before": entry.before,
                    "after": entry.after,
                }
                for entry in entries
            ],
        )
