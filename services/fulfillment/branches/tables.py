"""Table of branches. A branch that closes stays, since parcels name it."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.branches.domain import CAPACITY_MAX
from services.fulfillment.metadata import metadata

branches = Table(
    "branches",
    metadata,
    Column("code", Text, primary_key=True),
    Column("names", JSONB, nullable=False),
    Column("addresses", JSONB, nullable=False),
    Column("phone", Text, nullable=False),
    Column("hours", JSONB, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("capacity_parcels", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("code ~ '^[A-Z0-9][A-Z0-9_-]{0,31}$'", name="code_form"),
    CheckConstraint(f"capacity_parcels BETWEEN 1 AND {CAPACITY_MAX}", name="capacity_in_range"),
)
