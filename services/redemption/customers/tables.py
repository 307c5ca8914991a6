"""The customers' table. Contact data is sealed under a data key of the customer's own, itself sealed under the service's key:
destroying the data key erases the person and leaves the books whole.
"""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, LargeBinary, Table, Text, UniqueConstraint, Uuid, text

from services.redemption.metadata import metadata

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_number", Text, nullable=False, unique=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("data_key", LargeBinary, nullable=False),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("phone_sealed", LargeBinary, nullable=False),
    Column("phone_lookup", LargeBinary, nullable=False),
    Column("name_lookup", LargeBinary),  # null until the worker comes by, in rows from before there were any
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("issuer", "subject", name="uq_customers_identity"),
    CheckConstraint("language IN ('zh_hans', 'zh_hant', 'en')", name="language_known"),
    CheckConstraint("octet_length(phone_lookup) = 32", name="phone_lookup_whole"),
    CheckConstraint("octet_length(name_lookup) = 32", name="name_lookup_whole"),
    Index("ix_customers_phone", "phone_lookup"),
    Index("ix_customers_name", "name_lookup", "id"),
    Index("ix_customers_without_name_lookup", "id", postgresql_where=text("name_lookup IS NULL")),
)
