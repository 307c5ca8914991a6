"""Returns' tables: a document for each time that points go back, and its lines."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from services.redemption.metadata import metadata

returns = Table(
    "returns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("redemption_id", Uuid, ForeignKey("redemptions.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("decided_at", DateTime(timezone=True)),
    UniqueConstraint("id", "redemption_id", name="uq_returns_of_redemption"),
    CheckConstraint("kind IN ('cancellation', 'not_collected', 'came_back', 'lost')", name="kind_known"),
    CheckConstraint("state IN ('requested', 'refunded', 'refused')", name="state_known"),
    CheckConstraint("kind = 'cancellation' OR state = 'refunded'", name="only_cancellations_are_asked_for"),
    CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name="decided_when_it_is"),
    CheckConstraint("length(reason) <= 200", name="reason_short"),
    Index("ix_returns_redemption", "redemption_id"),
    Index("uq_returns_requested", "redemption_id", unique=True, postgresql_where=text("state = 'requested'")),
)

return_lines = Table(
    "return_lines",
    metadata,
    Column("return_id", Uuid, primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("redemption_id", Uuid, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["return_id", "redemption_id"], ["returns.id", "returns.redemption_id"], name="fk_return_lines_return"
    ),
    ForeignKeyConstraint(
        ["redemption_id", "number"], ["redemption_lines.redemption_id", "redemption_lines.number"], name="fk_return_lines_line"
    ),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("points > 0", name="points_positive"),
    Index("ix_return_lines_line", "redemption_id", "number"),
)
