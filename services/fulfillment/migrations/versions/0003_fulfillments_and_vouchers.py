"""Fulfillments with their lines; what a line's vouchers promise, and the vouchers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What a voucher is, and until when, nothing of the service can change: only its state moves.
GRANTS = {
    "fulfillments": "SELECT, INSERT",
    "fulfillment_lines": "SELECT, INSERT",
    "voucher_promises": "SELECT, INSERT",
    "vouchers": "SELECT, INSERT, UPDATE (state, used_at, changed_at)",
}
APPEND_ONLY = ("fulfillment_lines", "voucher_promises")
ARROWS = {
    "fulfillments": "'issued>cancelled'",
    "vouchers": "'issued>used', 'used>issued', 'issued>expired', 'issued>voided'",
}


def upgrade() -> None:
    op.create_table(
        "fulfillments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("owner_issuer", sa.Text(), nullable=True),
        sa.Column("owner_subject", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("fingerprint IS NOT NULL OR state = 'cancelled'", name=op.f("ck_fulfillments_tombstone_cancelled")),
        sa.CheckConstraint("state IN ('issued', 'cancelled')", name=op.f("ck_fulfillments_state_known")),
        sa.CheckConstraint(
            "num_nulls(fingerprint, customer_id, owner_issuer, owner_subject, campaign, accepted_at) IN (0, 6)",
            name=op.f("ck_fulfillments_whole_or_tombstone"),
        ),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_fulfillments_fingerprint_whole")),
        sa.CheckConstraint("version > 0", name=op.f("ck_fulfillments_version_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fulfillments")),
    )
    op.create_table(
        "fulfillment_lines",
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('e_voucher')", name=op.f("ck_fulfillment_lines_kind_known")),
        sa.CheckConstraint("number BETWEEN 1 AND 10", name=op.f("ck_fulfillment_lines_number_in_range")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_fulfillment_lines_quantity_positive")),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillments.id"], name=op.f("fk_fulfillment_lines_fulfillment_id")),
        sa.PrimaryKeyConstraint("fulfillment_id", "number", name=op.f("pk_fulfillment_lines")),
    )
    op.create_table(
        "voucher_promises",
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("reward_code", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("face_value_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("merchants", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_voucher_promises_currency_form")),
        sa.CheckConstraint(
            "jsonb_typeof(merchants) = 'array' AND merchants <> '[]'::jsonb", name=op.f("ck_voucher_promises_merchants_named")
        ),
        sa.CheckConstraint("face_value_minor > 0", name=op.f("ck_voucher_promises_face_value_positive")),
        sa.CheckConstraint("valid_days > 0", name=op.f("ck_voucher_promises_valid_days_positive")),
        sa.ForeignKeyConstraint(
            ["fulfillment_id", "line_number"],
            ["fulfillment_lines.fulfillment_id", "fulfillment_lines.number"],
            name=op.f("fk_voucher_promises_fulfillment_id_line_number"),
        ),
        sa.PrimaryKeyConstraint("fulfillment_id", "line_number", name=op.f("pk_voucher_promises")),
    )
    op.create_table(
        "vouchers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("unit_number", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("owner_issuer", sa.Text(), nullable=False),
        sa.Column("owner_subject", sa.Text(), nullable=False),
        sa.Column("code_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'used') = (used_at IS NOT NULL)", name=op.f("ck_vouchers_used_with_time")),
        sa.CheckConstraint("state IN ('issued', 'used', 'expired', 'voided')", name=op.f("ck_vouchers_state_known")),
        sa.CheckConstraint("issued_at < expires_at", name=op.f("ck_vouchers_validity_forward")),
        sa.CheckConstraint("octet_length(code_hmac) = 32", name=op.f("ck_vouchers_code_hmac_whole")),
        sa.CheckConstraint("unit_number > 0", name=op.f("ck_vouchers_unit_number_positive")),
        sa.CheckConstraint("used_at < expires_at", name=op.f("ck_vouchers_used_in_time")),
        sa.ForeignKeyConstraint(
            ["fulfillment_id", "line_number"],
            ["voucher_promises.fulfillment_id", "voucher_promises.line_number"],
            name=op.f("fk_vouchers_fulfillment_id_line_number"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("code_hmac", name=op.f("uq_vouchers_code_hmac")),
        sa.UniqueConstraint(
            "fulfillment_id", "line_number", "unit_number", name=op.f("uq_vouchers_fulfillment_id_line_number_unit_number")
        ),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_vouchers_customer", "vouchers", ["customer_id", "id"], unique=False)
    op.create_index(
        "ix_vouchers_expiring", "vouchers", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'issued'")
    )
    op.create_index("ix_vouchers_owner", "vouchers", ["owner_subject", "owner_issuer", "id"], unique=False)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, arrows in ARROWS.items():
        op.execute(
            f"CREATE TRIGGER only_along_arrows BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({arrows})"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
