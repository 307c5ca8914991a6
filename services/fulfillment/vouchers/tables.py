"""Tables of vouchers: what a line promises, once, and one row a voucher with its code sealed.

States of a voucher and their arrows, enforced by a trigger that the migration makes:
    issued -> used     at a till
    used   -> issued   the use was reversed
    issued -> expired  its time is over
    issued -> voided   taken back before it was used
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.metadata import metadata
from services.fulfillment.vouchers.domain import VoucherState

_STATES = ", ".join(f"'{state.value}'" for state in VoucherState)

# The service's role may not change these rows, so the merchants that accept a voucher are frozen when it is issued.
voucher_promises = Table(
    "voucher_promises",
    metadata,
    Column("fulfillment_id", Uuid, primary_key=True),
    Column("line_number", Integer, primary_key=True),
    Column("reward_code", Text, nullable=False),
    Column("names", JSONB, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("face_value_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_days", Integer, nullable=False),
    Column("merchants", JSONB, nullable=False),
    ForeignKeyConstraint(["fulfillment_id", "line_number"], ["fulfillment_lines.fulfillment_id", "fulfillment_lines.number"]),
    CheckConstraint("face_value_minor > 0", name="face_value_positive"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_form"),
    CheckConstraint("valid_days > 0", name="valid_days_positive"),
    CheckConstraint("jsonb_typeof(merchants) = 'array' AND merchants <> '[]'::jsonb", name="merchants_named"),
)

vouchers = Table(
    "vouchers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("fulfillment_id", Uuid, nullable=False),
    Column("line_number", Integer, nullable=False),
    Column("unit_number", Integer, nullable=False),
    Column("customer_id", Uuid, nullable=False),
    Column("owner_issuer", Text, nullable=False),
    Column("owner_subject", Text, nullable=False),
    Column("code_hmac", LargeBinary, nullable=False),
    Column("code_sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["fulfillment_id", "line_number"], ["voucher_promises.fulfillment_id", "voucher_promises.line_number"]
    ),
    UniqueConstraint("fulfillment_id", "line_number", "unit_number"),
    UniqueConstraint("code_hmac"),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint("(state = 'used') = (used_at IS NOT NULL)", name="used_with_time"),
    CheckConstraint("used_at < expires_at", name="used_in_time"),
    CheckConstraint("issued_at < expires_at", name="validity_forward"),
    CheckConstraint("unit_number > 0", name="unit_number_positive"),
    CheckConstraint("octet_length(code_hmac) = 32", name="code_hmac_whole"),
    Index("ix_vouchers_owner", "owner_subject", "owner_issuer", "id"),
    Index("ix_vouchers_customer", "customer_id", "id"),
    Index("ix_vouchers_expiring", "expires_at", postgresql_where=text("state = 'issued'")),
    postgresql_with={"fillfactor": "80"},
)
