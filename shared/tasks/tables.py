"""The three tables of a service's tasks.

States of a task and their arrows:
    ready  -> done    finished by whoever holds its token
    ready  -> ready   deferred after a clean failure, or asked to run again while it was running
    ready  -> parked  five claims in a row never came back
    parked -> ready   redriven: one person asked, another one agreed
"""

from typing import NamedTuple

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

PAYLOAD_BYTES_MAX = 8192
SUSPECT_FROM_CLAIMS = 2
"""A task that was taken so often and never returned may be what kills its process."""
REASON_CHARACTERS_MAX = 500
APPROVAL_HOURS = 24

# What stands between a parked task and its next run, for whoever writes SQL: an approval by a second person, of this very task
# as it is, not older than a day and not used before. The function runs as the owner, since only it may mark one as used.
REDRIVE_GUARD = (
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


class TaskTables(NamedTuple):
    """What a service needs of this module."""

    tasks: Table
    ticks: Table
    redrives: Table


def define_tasks(metadata: MetaData) -> TaskTables:
    """Add the tables of the tasks to a service's own."""
    tasks = Table(
        "tasks",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("ref", Uuid),
        Column("dedupe_key", Text),
        Column("payload", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
        Column("state", Text, nullable=False, server_default="ready"),
        Column("run_at", DateTime(timezone=True), nullable=False),
        Column("rerun", Boolean, nullable=False, server_default=text("false")),
        Column("claims_unreturned", Integer, nullable=False, server_default="0"),
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("token", BigInteger, nullable=False, server_default="0"),
        Column("lease_until", DateTime(timezone=True)),
        Column("last_error", Text),
        Column(
            "created_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("clock_timestamp()"),
        ),
        Column(
            "changed_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("clock_timestamp()"),
        ),
        CheckConstraint("state IN ('ready', 'done', 'parked')", name="state_known"),
        CheckConstraint(f"octet_length(payload::text) <= {PAYLOAD_BYTES_MAX}", name="payload_small"),
        CheckConstraint(
            "claims_unreturned >= 0 AND failures >= 0 AND token >= 0",
            name="counters_not_negative",
        ),
        CheckConstraint("state = 'ready' OR lease_until IS NULL", name="lease_only_while_ready"),
        # One live task for one thing: a duplicate asks the live one to run again.
        Index(
            "uq_tasks_live",
            "kind",
            "dedupe_key",
            unique=True,
            postgresql_where=text("state = 'ready'"),
        ),
        Index("ix_tasks_due", "kind", "run_at", postgresql_where=text("state = 'ready'")),
        # The few that may kill their process are found among however many wait.
        Index(
            "ix_tasks_suspect",
            "kind",
            "run_at",
            postgresql_where=text(f"state = 'ready' AND claims_unreturned >= {SUSPECT_FROM_CLAIMS}"),
        ),
        Index("ix_tasks_ref", "ref", postgresql_where=text("state <> 'done'")),
        Index("ix_tasks_done", "changed_at", postgresql_where=text("state = 'done'")),
        postgresql_with={"fillfactor": "70"},
    )
    ticks = Table(
        "schedule_ticks",
        metadata,
        Column("name", Text, primary_key=True),
        Column("tick", DateTime(timezone=True), primary_key=True),
    )
    return TaskTables(tasks, ticks, _define_redrives(metadata))


def _define_redrives(metadata: MetaData) -> Table:
    """Who asked that a parked task run again, and who agreed. Grant INSERT of what is asked, UPDATE of the decision."""
    redrives = Table(
        "task_redrives",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("task_id", Uuid, nullable=False),  # no foreign key: what is done is deleted after a day, this stays
        Column("reason", Text, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("asked_by", Text, nullable=False),
        Column("asked_at", DateTime(timezone=True), nullable=False, server_default=text("statement_timestamp()")),
        Column(
            "expires_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text(f"statement_timestamp() + '{APPROVAL_HOURS}:00:00'::interval"),
        ),
        Column("state", Text, nullable=False, server_default="pending"),
        Column("decided_by", Text),
        Column("decided_at", DateTime(timezone=True)),
        Column("spent_at", DateTime(timezone=True)),
        CheckConstraint("state IN ('pending', 'approved', 'expired', 'void')", name="state_known"),
        CheckConstraint(f"length(reason) BETWEEN 1 AND {REASON_CHARACTERS_MAX}", name="reason_short"),
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
        CheckConstraint("asked_by <> ''", name="asked_by_somebody"),
        CheckConstraint("(state = 'approved') = (decided_by IS NOT NULL)", name="approved_by_somebody"),
        CheckConstraint("decided_by <> asked_by", name="two_people"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided_at_some_time"),
        CheckConstraint("spent_at IS NULL OR state = 'approved'", name="spent_once_approved"),
        Index("uq_task_redrives_pending", "task_id", unique=True, postgresql_where=text("state = 'pending'")),
        Index("ix_task_redrives_approved", "task_id", postgresql_where=text("state = 'approved' AND spent_at IS NULL")),
    )
    for statement in REDRIVE_GUARD:  # once all tables are there
        event.listen(metadata, "after_create", DDL(statement))  # type: ignore[no-untyped-call]
    return redrives
