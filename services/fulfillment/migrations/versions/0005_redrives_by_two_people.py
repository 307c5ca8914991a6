"""A parked task runs again when two people want it: who asked, who agreed, and the guard that waits for them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The decision alone is the service's to change: when it was asked, until when it holds and whether it was used is not.
GRANTS = {
    "task_redrives": "SELECT, INSERT (id, task_id, reason, fingerprint, asked_by), UPDATE (state, decided_by, decided_at)",
}
GUARD = (
    """
    CREATE FUNCTION task_fingerprint(kind text, ref uuid, payload jsonb, token bigint) RETURNS bytea
    LANGUAGE sql STABLE AS $$
        SELECT sha256(convert_to(jsonb_build_array(kind, ref, payload, token)::text, 'UTF8'))
    $$
    """,
    """
    CREATE FUNCTION guard_parked_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.state = 'parked' THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' AND NEW.state = 'ready' AND NEW.id = OLD.id THEN
            UPDATE task_redrives SET spent_at = clock_timestamp()
             WHERE task_id = NEW.id AND state = 'approved' AND spent_at IS NULL AND decided_by <> asked_by
               AND expires_at > clock_timestamp()
               AND fingerprint = task_fingerprint(NEW.kind, NEW.ref, NEW.payload, NEW.token);
            IF FOUND THEN
                RETURN NEW;
            END IF;
        END IF;
        RAISE EXCEPTION 'a parked task goes on only when a second person agreed to it as it is'
            USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE FUNCTION guard_decided_redrive() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'what was decided about a parked task stays decided' USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER parked_tasks_wait BEFORE UPDATE OR DELETE ON tasks
    FOR EACH ROW WHEN (OLD.state = 'parked') EXECUTE FUNCTION guard_parked_task()
    """,
    """
    CREATE TRIGGER decisions_stay BEFORE UPDATE OF state, decided_by, decided_at ON task_redrives
    FOR EACH ROW WHEN (OLD.state <> 'pending') EXECUTE FUNCTION guard_decided_redrive()
    """,
)


def upgrade() -> None:
    op.create_table(
        "task_redrives",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("statement_timestamp()"), nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("statement_timestamp() + '24:00:00'::interval"),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'approved', 'expired', 'void')", name=op.f("ck_task_redrives_state_known")),
        sa.CheckConstraint("length(reason) BETWEEN 1 AND 500", name=op.f("ck_task_redrives_reason_short")),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_task_redrives_fingerprint_whole")),
        sa.CheckConstraint("asked_by <> ''", name=op.f("ck_task_redrives_asked_by_somebody")),
        sa.CheckConstraint(
            "(state = 'approved') = (decided_by IS NOT NULL)", name=op.f("ck_task_redrives_approved_by_somebody")
        ),
        sa.CheckConstraint("decided_by <> asked_by", name=op.f("ck_task_redrives_two_people")),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("ck_task_redrives_decided_at_some_time")),
        sa.CheckConstraint("spent_at IS NULL OR state = 'approved'", name=op.f("ck_task_redrives_spent_once_approved")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_redrives")),
    )
    op.create_index(
        "uq_task_redrives_pending", "task_redrives", ["task_id"], unique=True, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index(
        "ix_task_redrives_approved",
        "task_redrives",
        ["task_id"],
        unique=False,
        postgresql_where=sa.text("state = 'approved' AND spent_at IS NULL"),
    )
    for statement in GUARD:
        op.execute(statement)
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    op.execute("DROP TRIGGER parked_tasks_wait ON tasks")
    op.drop_table("task_redrives")
    op.execute("DROP FUNCTION guard_decided_redrive, guard_parked_task, task_fingerprint")
