"""Tables of reservations: a header a redemption with its state, its lines, and what each line drew from which batch.

The header's primary key is the lock that makes a late reserve meet its release (G10): the tombstone is a state of this row.
What has come back is counted on lines and draws; a trigger lets these counters rise, and nothing else of the rows change.
"""

from sqlalchemy import (
    BigInteger,
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
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.catalog.metadata import metadata
from services.catalog.reservations.domain import State

_STATES = ", ".join(f"'{state.value}'" for state in State)

reservations = Table(
    "reservations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    # NULL in a tombstone: the release came first, nobody knows of what.
    Column("campaign_code", Text),
    Column("fingerprint", LargeBinary),
    Column("reasons", JSONB),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint("(state = 'refused') = (reasons IS NOT NULL)", name="refused_with_reasons"),
    CheckConstraint(
        "(fingerprint IS NULL) = (campaign_code IS NULL)",
        name="tombstone_empty",
    ),
    CheckConstraint("fingerprint IS NOT NULL OR state = 'released'", name="tombstone_released"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
    Index("ix_reservations_campaign", "campaign_code"),
    postgresql_with={"fillfactor": "80"},
)

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("reservation_id", Uuid, ForeignKey("reservations.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("offer_id", Uuid, ForeignKey("offers.id"), nullable=False),
    Column("offer_version", Integer, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    # What the units cost the bank, committed to the budget line that pays for rewards.
    Column("cost_minor", BigInteger, nullable=False),
    # The bank's day on which the offer's quota counts the line.
    Column("counted_on", Date, nullable=False),
    # Units that return documents name, and those of them whose places in quota and budget came back.
    Column("returned", BigInteger, nullable=False, server_default="0"),
    Column("places_returned", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("cost_minor >= 0 AND cost_minor % quantity = 0", name="cost_by_the_unit"),
    CheckConstraint("0 <= places_returned AND places_returned <= returned AND returned <= quantity", name="returned_at_most"),
    CheckConstraint("number BETWEEN 1 AND 10", name="number_in_range"),
    Index("ix_reservation_lines_offer", "offer_id"),
)

reservation_draws = Table(
    "reservation_draws",
    metadata,
    Column("reservation_id", Uuid, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("batch_id", Uuid, ForeignKey("stock_batches.id"), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    # Units that return documents name, and those of them that the batch has again.
    Column("returned", BigInteger, nullable=False, server_default="0"),
    Column("restocked", BigInteger, nullable=False, server_default="0"),
    ForeignKeyConstraint(["reservation_id", "line"], ["reservation_lines.reservation_id", "reservation_lines.number"]),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("0 <= restocked AND restocked <= returned AND returned <= quantity", name="returned_at_most"),
    Index("ix_reservation_draws_batch", "batch_id"),
)
