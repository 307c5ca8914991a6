"""The table of notices; whom to tell stands with the parcel alone, sealed, and is read when a notice is sent.

States of a notice and their arrows, enforced by a trigger that the migration makes:
    pending -> sent    the gateway took it
    pending -> failed  it never can be sent
"""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.metadata import metadata
from services.fulfillment.notices.domain import NoticeKind, NoticeState
from shared.languages import LANGUAGES

FACTS_BYTES_MAX = 8192
FAILURE_CHARACTERS_MAX = 500

_STATES = ", ".join(f"'{state.value}'" for state in NoticeState)
_KINDS = ", ".join(f"'{kind.value}'" for kind in NoticeKind)
_LANGUAGES = ", ".join(f"'{language}'" for language in LANGUAGES)

notices = Table(
    "notices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("parcel_id", Uuid, nullable=False),
    Column("customer_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("language", Text),
    Column("attempts", Integer, nullable=False),
    Column("reference", Text),
    Column("failure", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint(f"kind IN ({_KINDS})", name="kind_known"),
    CheckConstraint(f"language IN ({_LANGUAGES})", name="language_known"),
    CheckConstraint("attempts >= 0", name="attempts_not_negative"),
    CheckConstraint("(state = 'sent') = (language IS NOT NULL)", name="sent_in_a_language"),
    CheckConstraint("(state = 'sent') = (reference IS NOT NULL)", name="sent_under_a_reference"),
    CheckConstraint("state <> 'failed' OR failure IS NOT NULL", name="failed_with_reason"),
    CheckConstraint(f"octet_length(facts::text) <= {FACTS_BYTES_MAX}", name="facts_small"),
    CheckConstraint(f"length(failure) <= {FAILURE_CHARACTERS_MAX}", name="failure_short"),
    Index("ix_notices_customer", "customer_id", "requested_at", "id"),
)
