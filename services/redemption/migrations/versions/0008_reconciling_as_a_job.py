"""Runs of reconciling, and the breaks that they found."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

GRANTS = {
    "reconciliation_runs": "SELECT, INSERT, UPDATE, DELETE",
    "breaks": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    op.create_table(
        "reconciliation_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("redemptions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reservations", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fulfillments", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("breaks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "redemptions >= 0 AND reservations >= 0 AND fulfillments >= 0 AND breaks >= 0",
            name=op.f("ck_reconciliation_runs_counts_not_negative"),
        ),
        sa.CheckConstraint("error IS NULL OR ended_at IS NOT NULL", name=op.f("ck_reconciliation_runs_error_ends_it")),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_reconciliation_runs_ends_after_its_start")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_runs")),
    )
    op.create_index("ix_reconciliation_runs_started", "reconciliation_runs", ["started_at"])
    op.create_index(
        "ix_reconciliation_runs_good",
        "reconciliation_runs",
        ["ended_at"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND error IS NULL"),
    )
    op.create_table(
        "breaks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("last_seen_at >= first_seen_at", name=op.f("ck_breaks_seen_forward")),
        sa.CheckConstraint("ended_at >= last_seen_at", name=op.f("ck_breaks_ends_after_it_was_seen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breaks")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "uq_breaks_open",
        "breaks",
        ["service", "kind", "subject"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def downgrade() -> None:
    op.drop_table("breaks")
    op.drop_table("reconciliation_runs")
