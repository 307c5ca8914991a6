"""Tables of merchants and terminals: the records in force, written when a campaign version is published."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, DateTime, ForeignKey, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.catalog.metadata import metadata

merchants = Table(
    "merchants",
    metadata,
    Column("code", Text, primary_key=True),
    Column("names", JSONB, nullable=False),
    Column("category_code", Text, nullable=False),
    Column("address", JSONB, nullable=False),
    Column("accepts_vouchers", Boolean, nullable=False),
    Column("accepts_spend", Boolean, nullable=False),
    Column("contract_from", Date, nullable=False),
    Column("contract_until", Date, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("contract_from <= contract_until", name="contract_forward"),
    CheckConstraint("category_code ~ '^[0-9]{4}$'", name="category_code_form"),
)

terminals = Table(
    "terminals",
    metadata,
    Column("merchant_code", Text, ForeignKey("merchants.code"), primary_key=True),
    Column("code", Text, primary_key=True),
    Column("location", Text, nullable=False),
)
