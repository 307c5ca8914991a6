"""Tables of reconciling: each run, and each break from when it was first seen until it was gone."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Table, Text, Uuid, text

from services.redemption.metadata import metadata

reconciliation_runs = Table(
    "reconciliation_runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("asked_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("redemptions", BigInteger, nullable=False, server_default="0"),
    Column("reservations", BigInteger, nullable=False, server_default="0"),
    Column("fulfillments", BigInteger, nullable=False, server_default="0"),
    Column("breaks", BigInteger, nullable=False, server_default="0"),
    # Why it did not come to its end; such a run ends no break.
    Column("error", Text),
    CheckConstraint("redemptions >= 0 AND reservations >= 0 AND fulfillments >= 0 AND breaks >= 0", name="counts_not_negative"),
    CheckConstraint("error IS NULL OR ended_at IS NOT NULL", name="error_ends_it"),
    CheckConstraint("ended_at >= started_at", name="ends_after_its_start"),
    Index("ix_reconciliation_runs_started", "started_at"),
    Index("ix_reconciliation_runs_good", "ended_at", postgresql_where=text("ended_at IS NOT NULL AND error IS NULL")),
)

breaks = Table(
    "breaks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("service", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("last_seen_at >= first_seen_at", name="seen_forward"),
    CheckConstraint("ended_at >= last_seen_at", name="ends_after_it_was_seen"),
    # What is wrong is one break until it is gone, however many runs see it.
    Index("uq_breaks_open", "service", "kind", "subject", unique=True, postgresql_where=text("ended_at IS NULL")),
    postgresql_with={"fillfactor": "80"},
)
