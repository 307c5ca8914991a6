"""The two tables of a service's tasks.

States of a task and their arrows:
    ready  -> done    finished by whoever holds its token
    ready  -> ready   deferred after a clean failure, or asked to run again while it was running
    ready  -> parked  five claims in a row never came back
    parked -> ready   redriven by a person
"""

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

PAYLOAD_BYTES_MAX = 8192


class TaskTables(NamedTuple):
    """What a service needs of this module."""

    tasks: Table
    ticks: Table


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
    return TaskTables(tasks, ticks)
