"""Deliveries' table: one row for a redemption with goods. A redemption of e-vouchers alone has none."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, ForeignKey, Integer, LargeBinary, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from services.redemption.metadata import metadata

redemption_deliveries = Table(
    "redemption_deliveries",
    metadata,
    Column("redemption_id", Uuid, ForeignKey("redemptions.id"), primary_key=True),
    Column("way", Text, nullable=False),
    Column("branch", Text),
    Column("branch_names", JSONB),
    # As they were when the customer redeemed; sealed under the customer's key and bound to this redemption.
    Column("contact_sealed", LargeBinary, nullable=False),
    Column("address_sealed", LargeBinary),
    Column("fulfillment_version", Integer, nullable=False, server_default="0"),
    Column("parts", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("went_out", Boolean, nullable=False, server_default=text("false")),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("way IN ('courier', 'pickup')", name="way_known"),
    CheckConstraint("(way = 'pickup') = (branch IS NOT NULL AND branch_names IS NOT NULL)", name="pickup_at_a_branch"),
    CheckConstraint("(way = 'courier') = (address_sealed IS NOT NULL)", name="courier_to_an_address"),
    CheckConstraint("fulfillment_version >= 0", name="version_not_negative"),
    postgresql_with={"fillfactor": "70"},
)
