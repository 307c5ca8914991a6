"""The address book's table: an address is one sealed value, so that nothing of it can be read or sorted by."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    UniqueConstraint,
    Uuid,
    text,
)

from services.redemption.metadata import metadata

customer_addresses = Table(
    "customer_addresses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, ForeignKey("customers.id"), nullable=False),
    # Which of the customer's twenty places it has: that is how the database knows that there are no more.
    Column("place", SmallInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("place BETWEEN 1 AND 20", name="at_most_twenty"),
    UniqueConstraint("customer_id", "place", name="uq_customer_addresses_place"),
    Index("uq_customer_addresses_default", "customer_id", unique=True, postgresql_where=text("is_default")),
)
