"""The files that were taken in: by kind and name, with a digest of the content and what it did."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from services.redemption.metadata import metadata

feed_files = Table(
    "feed_files",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
    CheckConstraint("kind IN ('customers', 'opening-balances', 'earned-points')", name="kind_known"),
    CheckConstraint("lines = new + changed + unchanged", name="every_line_counted"),
)
