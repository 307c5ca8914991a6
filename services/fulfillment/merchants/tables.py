"""Tables of the mirror of the catalog's merchants and terminals."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, DateTime, ForeignKey, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.metadata import metadata

merchants = Table(
    "merchants",
    metadata,
    Column("code", Text, primary_key=True),
    Column("names", JSONB, nullable=False),
    Column("accepts_vouchers", Boolean, nullable=False),
    Column("contract_from", Date, nullable=False),
    Column("contract_until", Date, nullable=False),
    CheckConstraint("contract_from <= contract_until", name="contract_forward"),
)

terminals = Table(
    "terminals",
    metadata,
    Column("merchant_code", Text, ForeignKey("merchants.code", ondelete="CASCADE"), primary_key=True),
    Column("code", Text, primary_key=True),
)

# One row a mirrored list: the tag of what we have, so that an unchanged list costs one question.
mirrors = Table(
    "mirrors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("etag", Text),
    Column("read_at", DateTime(timezone=True), nullable=False),
)
