"""Tables of parcels: a row a parcel, what is in it, its timeline, and wrong codes at the counter.

States of a parcel and their arrows, enforced by a trigger that the migration makes:
    preparing   -> cancelled    while nobody has fetched it
    preparing   -> dispatching  by courier: the carrier is being asked; too late to cancel
    dispatching -> dispatched   the carrier has it under a tracking number
    dispatching -> cancelled    the carrier does not take it, and knows nothing of it
    dispatched  -> failed       an attempt to deliver it failed; it may still be delivered
    dispatched  -> delivered
    dispatched  -> returned     it came back
    dispatched  -> lost
    failed      -> delivered
    failed      -> returned
    failed      -> lost
    preparing   -> in_transfer  for pickup: on its way to the branch; too late to cancel
    in_transfer -> ready        at the branch, with a code
    ready       -> collected    handed over at the counter
    ready       -> returned     not collected in time
    in_transfer -> lost         on its way to the branch
    ready       -> lost         at the branch
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.metadata import metadata
from services.fulfillment.parcels.domain import COURIER_STATES, PICKUP_STATES, ParcelState

PLACE_CHARACTERS_MAX = 200

_STATES = ", ".join(f"'{state.value}'" for state in ParcelState)
_COURIER = ", ".join(f"'{state.value}'" for state in COURIER_STATES)
_PICKUP = ", ".join(f"'{state.value}'" for state in PICKUP_STATES)

parcels = Table(
    "parcels",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("fulfillment_id", Uuid, ForeignKey("fulfillments.id"), nullable=False),
    Column("way", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("customer_id", Uuid, nullable=False),
    Column("owner_issuer", Text, nullable=False),
    Column("owner_subject", Text, nullable=False),
    Column("contact_sealed", LargeBinary, nullable=False),
    Column("address_sealed", LargeBinary),
    # No foreign key: what was accepted is handed out, whatever somebody sent as a branch; the books find an unknown one.
    Column("branch", Text),
    Column("expected_on", Date),
    Column("carrier", Text),
    Column("tracking_number", Text),
    Column("carrier_sequence", Integer, nullable=False, server_default="0"),
    # How often its carrier said that it does not take it.
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("code_hmac", LargeBinary),
    Column("code_sealed", LargeBinary),
    Column("ready_until", Date),
    Column("reminded_at", DateTime(timezone=True)),
    Column("accepted_at", DateTime(timezone=True), nullable=False),
    Column("state_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("fulfillment_id", "way"),
    CheckConstraint(
        f"(way = 'courier' AND state IN ({_COURIER})) OR (way = 'pickup' AND state IN ({_PICKUP}))", name="state_of_its_way"
    ),
    CheckConstraint("version > 0", name="version_positive"),
    CheckConstraint("carrier_sequence >= 0", name="carrier_sequence_not_negative"),
    CheckConstraint("refusals >= 0", name="refusals_not_negative"),
    CheckConstraint("(way = 'courier') = (address_sealed IS NOT NULL)", name="courier_with_address"),
    CheckConstraint("(way = 'pickup') = (branch IS NOT NULL)", name="pickup_with_branch"),
    CheckConstraint("(carrier IS NULL) = (tracking_number IS NULL)", name="tracked_whole"),
    CheckConstraint(
        "(tracking_number IS NOT NULL) = (way = 'courier' AND state NOT IN ('preparing', 'dispatching', 'cancelled'))",
        name="tracked_once_dispatched",
    ),
    CheckConstraint("num_nulls(code_hmac, code_sealed, ready_until) IN (0, 3)", name="code_whole"),
    CheckConstraint(
        "(way = 'pickup' AND state = 'lost') "
        "OR (ready_until IS NOT NULL) = (way = 'pickup' AND state NOT IN ('preparing', 'in_transfer', 'cancelled'))",
        name="code_once_ready",
    ),
    CheckConstraint("octet_length(code_hmac) = 32", name="code_hmac_whole"),
    CheckConstraint("reminded_at IS NULL OR ready_until IS NOT NULL", name="reminded_once_ready"),
    Index("uq_parcels_tracking", "carrier", "tracking_number", unique=True, postgresql_where=text("carrier IS NOT NULL")),
    # A short code is unique among those that wait at one branch.
    Index("uq_parcels_code", "branch", "code_hmac", unique=True, postgresql_where=text("state = 'ready'")),
    Index("ix_parcels_owner", "owner_subject", "owner_issuer", "id"),
    Index("ix_parcels_customer", "customer_id", "id"),
    Index("ix_parcels_branch", "branch", "state", "id", postgresql_where=text("branch IS NOT NULL")),
    Index("ix_parcels_waiting", "ready_until", postgresql_where=text("state = 'ready'")),
    postgresql_with={"fillfactor": "80"},
)

# How many units stands on the line.
parcel_lines = Table(
    "parcel_lines",
    metadata,
    Column("fulfillment_id", Uuid, primary_key=True),
    Column("line_number", Integer, primary_key=True),
    Column("parcel_id", Uuid, ForeignKey("parcels.id"), nullable=False),
    Column("reward_code", Text, nullable=False),
    Column("names", JSONB, nullable=False),
    ForeignKeyConstraint(["fulfillment_id", "line_number"], ["fulfillment_lines.fulfillment_id", "fulfillment_lines.number"]),
    Index("ix_parcel_lines_parcel_id", "parcel_id"),
)

# The numbers of a parcel's events are its versions.
parcel_events = Table(
    "parcel_events",
    metadata,
    Column("parcel_id", Uuid, ForeignKey("parcels.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("place", Text),
    Column("sequence", Integer),
    Column("actor", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    CheckConstraint("number > 0", name="number_positive"),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint(f"length(place) <= {PLACE_CHARACTERS_MAX}", name="place_short"),
    CheckConstraint("sequence > 0", name="sequence_positive"),
    Index("uq_parcel_events_sequence", "parcel_id", "sequence", unique=True, postgresql_where=text("sequence IS NOT NULL")),
)

pickup_attempts = Table(
    "pickup_attempts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("parcel_id", Uuid, ForeignKey("parcels.id"), nullable=False),
    Column("person", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_pickup_attempts_parcel_id_at", "parcel_id", "at"),
    Index("ix_pickup_attempts_person_at", "person", "at"),
    Index("ix_pickup_attempts_branch_at", "branch", "at"),
)

# A row a person and a branch, to be locked while their attempts are counted and one more is noted.
pickup_counts = Table("pickup_counts", metadata, Column("of", Text, primary_key=True))
