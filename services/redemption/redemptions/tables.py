"""The redemptions' tables: a header of one to ten lines, its timeline, and the counters of personal limits."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.redemption.metadata import metadata

redemptions = Table(
    "redemptions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, ForeignKey("customers.id"), nullable=False),
    Column("account_id", Uuid, ForeignKey("accounts.id"), nullable=False),
    Column("campaign", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("price_points", BigInteger, nullable=False),
    Column("accepted_at", DateTime(timezone=True), nullable=False),
    Column("accepted_on", Date, nullable=False),
    Column("deadline_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("events_count", Integer, nullable=False),
    Column("reasons", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("actor", Text, nullable=False),
    Column("channel", Text, nullable=False),
    CheckConstraint("mode IN ('points')", name="mode_known"),
    CheckConstraint(
        "state IN ('accepted', 'confirmed', 'delivering', 'fulfilled', 'declined', 'cancelling', 'cancelled', 'returned')",
        name="state_known",
    ),
    CheckConstraint("price_points > 0", name="price_positive"),
    CheckConstraint("(state = 'declined') = (reasons <> '[]'::jsonb)", name="declined_with_reasons"),
    Index("ix_redemptions_customer", "customer_id", "id"),
    Index("ix_redemptions_live", "id", postgresql_where=text("state IN ('accepted', 'confirmed', 'delivering', 'cancelling')")),
    postgresql_with={"fillfactor": "70"},
)

redemption_lines = Table(
    "redemption_lines",
    metadata,
    Column("redemption_id", Uuid, ForeignKey("redemptions.id"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("offer_id", Uuid, nullable=False),
    Column("offer_version", Integer, nullable=False),
    Column("reward", JSONB, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_points", BigInteger, nullable=False),
    # The counters that the line took from: a later version of the offer may have other limits.
    Column("limit_keys", JSONB, nullable=False),
    CheckConstraint("number BETWEEN 1 AND 10", name="at_most_ten"),
    CheckConstraint("quantity BETWEEN 1 AND 100", name="quantity_bounded"),
    CheckConstraint("unit_points > 0", name="price_positive"),
)

redemption_events = Table(
    "redemption_events",
    metadata,
    Column("redemption_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
)

limit_counters = Table(
    "limit_counters",
    metadata,
    Column("customer_id", Uuid, ForeignKey("customers.id"), primary_key=True),
    Column("limit_key", Text, primary_key=True),
    Column("taken", Integer, nullable=False),
    CheckConstraint("taken >= 0", name="taken_not_negative"),
    postgresql_with={"fillfactor": "70"},
)
