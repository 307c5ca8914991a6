"""Tables of the shared mechanisms: audit rows and tasks; and what keeps rows and states as they must be."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GRANTS = {
    "audit_entries": "SELECT, INSERT",
    "tasks": "SELECT, INSERT, UPDATE, DELETE",
    "schedule_ticks": "SELECT, INSERT, DELETE",
}
APPEND_ONLY = ("audit_entries",)

# Append-only by grant for the service; by this trigger for everybody, until it is dropped in plain sight.
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""

# The arrows of a table's state machine are the arguments of its trigger, as `issued>used`.
ONLY_ALONG_ARROWS = """
CREATE FUNCTION only_along_arrows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state || '>' || NEW.state = ANY (TG_ARGV) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a row of % does not go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
          USING ERRCODE = 'restrict_violation';
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
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("length(reason) <= 500", name=op.f("ck_audit_entries_reason_short")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject", "id"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Uuid(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
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
    op.execute(ONLY_ALONG_ARROWS)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")
    op.execute("GRANT SELECT ON alembic_version TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
