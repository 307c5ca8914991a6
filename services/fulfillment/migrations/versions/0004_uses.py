"""Uses of vouchers at tills, under the tills' own numbers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

GRANTS = {"uses": "SELECT, INSERT, UPDATE (state, voucher_id, used_at, refusal, refusal_facts, reversed_at)"}
OUTCOME = "voucher_id, used_at, refusal, refusal_facts"
ARROWS = {"uses": "'asked>live', 'asked>refused', 'live>reversed', 'refused>reversed'"}


def upgrade() -> None:
    op.create_table(
        "uses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("request_number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("till_reference", sa.Text(), nullable=True),
        sa.Column("voucher_id", sa.Uuid(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("refusal_facts", postgresql.JSONB(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'reversed') = (reversed_at IS NOT NULL)", name=op.f("ck_uses_reversed_with_time")),
        sa.CheckConstraint("refusal IN ('unknown', 'used', 'expired')", name=op.f("ck_uses_refusal_known")),
        sa.CheckConstraint(
            "state <> 'live' OR (used_at IS NOT NULL AND fingerprint IS NOT NULL)", name=op.f("ck_uses_live_whole")
        ),
        sa.CheckConstraint("state <> 'refused' OR refusal IS NOT NULL", name=op.f("ck_uses_refused_with_reason")),
        sa.CheckConstraint("state IN ('asked', 'live', 'refused', 'reversed')", name=op.f("ck_uses_state_known")),
        sa.CheckConstraint(
            "state <> 'asked' OR (fingerprint IS NOT NULL AND used_at IS NULL AND refusal IS NULL)",
            name=op.f("ck_uses_asked_open"),
        ),
        sa.CheckConstraint("(used_at IS NULL) = (voucher_id IS NULL)", name=op.f("ck_uses_used_whole")),
        sa.CheckConstraint("length(request_number) BETWEEN 1 AND 64", name=op.f("ck_uses_request_number_short")),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_uses_fingerprint_whole")),
        sa.CheckConstraint("refusal IS NULL OR used_at IS NULL", name=op.f("ck_uses_refused_or_used")),
        sa.ForeignKeyConstraint(["voucher_id"], ["vouchers.id"], name=op.f("fk_uses_voucher_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uses")),
        sa.UniqueConstraint("merchant", "terminal", "request_number", name=op.f("uq_uses_merchant_terminal_request_number")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_uses_voucher_id", "uses", ["voucher_id"], unique=False)
    op.create_index("uq_uses_live", "uses", ["voucher_id"], unique=True, postgresql_where=sa.text("state = 'live'"))
    for table, arrows in ARROWS.items():
        op.execute(
            f"CREATE TRIGGER only_along_arrows BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({arrows})"
        )
    old, new = (", ".join(f"{row}.{name}" for name in OUTCOME.split(", ")) for row in ("OLD", "NEW"))
    op.execute(
        "CREATE TRIGGER outcome_is_final BEFORE UPDATE ON uses FOR EACH ROW "
        f"WHEN (OLD.state <> 'asked' AND ({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION refuse_change()"
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
