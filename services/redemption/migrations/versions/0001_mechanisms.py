"""The mechanisms' tables: audit rows, idempotency keys, tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GRANTS = {
    "audit_entries": "SELECT, INSERT",
    "idempotency_keys": "SELECT, INSERT, UPDATE",
    "tasks": "SELECT, INSERT, UPDATE, DELETE",
    "schedule_ticks": "SELECT, INSERT, DELETE",
}
APPEND_ONLY = ("audit_entries",)

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% keeps what was written', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("on_behalf_of", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("length(reason) <= 500", name=op.f("ck_audit_entries_reason_short")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(status IS NULL) = (body IS NULL)", name=op.f("ck_idempotency_keys_answer_whole")),
        sa.CheckConstraint(
            "octet_length(key) = 32 AND octet_length(fingerprint) = 32", name=op.f("ck_idempotency_keys_hashes_whole")
        ),
        sa.CheckConstraint(
            "status IS NULL OR status BETWEEN 200 AND 499", name=op.f("ck_idempotency_keys_errors_of_ours_not_kept")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Uuid(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rerun", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("claims_unreturned", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("state = 'ready' OR lease_until IS NULL", name=op.f("ck_tasks_lease_only_while_ready")),
        sa.CheckConstraint("state IN ('ready', 'done', 'parked')", name=op.f("ck_tasks_state_known")),
        sa.CheckConstraint(
            "claims_unreturned >= 0 AND failures >= 0 AND token >= 0", name=op.f("ck_tasks_counters_not_negative")
        ),
        sa.CheckConstraint("octet_length(payload::text) <= 8192", name=op.f("ck_tasks_payload_small")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_tasks_done", "tasks", ["changed_at"], unique=False, postgresql_where=sa.text("state = 'done'"))
    op.create_index("ix_tasks_due", "tasks", ["kind", "run_at"], unique=False, postgresql_where=sa.text("state = 'ready'"))
    op.create_index("ix_tasks_ref", "tasks", ["ref"], unique=False, postgresql_where=sa.text("state <> 'done'"))
    op.create_index("uq_tasks_live", "tasks", ["kind", "dedupe_key"], unique=True, postgresql_where=sa.text("state = 'ready'"))
    op.create_table(
        "schedule_ticks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tick", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "tick", name=op.f("pk_schedule_ticks")),
    )
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")
    op.execute("GRANT SELECT ON alembic_version TO redemption_service")


def downgrade() -> None:
    op.drop_table("schedule_ticks")
    op.drop_table("tasks")
    op.drop_table("idempotency_keys")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION refuse_change")
