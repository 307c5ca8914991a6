"""Table of uses: one row an attempt of a till, under the number that the till gave it.

States of a use and their arrows, enforced by a trigger that the migration makes:
    asked   -> live       in the commit that takes the number, so that nobody ever sees `asked`
    asked   -> refused    likewise
    live    -> reversed
    refused -> reversed   a till that never saw the refusal takes its request back
A reversal that comes first is a row that begins as `reversed`, so that the late use finds its number taken.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.metadata import metadata
from services.fulfillment.tills.domain import Refusal, UseState

_STATES = ", ".join(f"'{state.value}'" for state in UseState)
_REFUSALS = ", ".join(f"'{refusal.value}'" for refusal in Refusal)

uses = Table(
    "uses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("merchant", Text, nullable=False),
    Column("terminal", Text, nullable=False),
    Column("request_number", Text, nullable=False),
    Column("state", Text, nullable=False),
    # NULL in a tombstone: the reversal came first, nobody knows of what.
    Column("fingerprint", LargeBinary),
    Column("till_reference", Text),
    Column("voucher_id", Uuid, ForeignKey("vouchers.id")),
    Column("refusal", Text),
    Column("refusal_facts", JSONB),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("reversed_at", DateTime(timezone=True)),
    UniqueConstraint("merchant", "terminal", "request_number"),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint(f"refusal IN ({_REFUSALS})", name="refusal_known"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
    CheckConstraint("state <> 'asked' OR (fingerprint IS NOT NULL AND used_at IS NULL AND refusal IS NULL)", name="asked_open"),
    CheckConstraint("(used_at IS NULL) = (voucher_id IS NULL)", name="used_whole"),
    CheckConstraint("(state = 'reversed') = (reversed_at IS NOT NULL)", name="reversed_with_time"),
    CheckConstraint("state <> 'live' OR (used_at IS NOT NULL AND fingerprint IS NOT NULL)", name="live_whole"),
    CheckConstraint("state <> 'refused' OR refusal IS NOT NULL", name="refused_with_reason"),
    CheckConstraint("refusal IS NULL OR used_at IS NULL", name="refused_or_used"),
    CheckConstraint("length(request_number) BETWEEN 1 AND 64", name="request_number_short"),
    # The last guard of "once": no two live uses of one voucher, whatever the code above does.
    Index("uq_uses_live", "voucher_id", unique=True, postgresql_where=text("state = 'live'")),
    Index("ix_uses_voucher_id", "voucher_id"),
    postgresql_with={"fillfactor": "80"},
)
