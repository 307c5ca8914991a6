"""The table of what carriers said: every event once, for ever, and whether its parcel has heard of it."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, Table, Text, text

from services.fulfillment.carriers.domain import EventKind
from services.fulfillment.metadata import metadata

ID_CHARACTERS_MAX = 64
PLACE_CHARACTERS_MAX = 200

_KINDS = ", ".join(f"'{kind.value}'" for kind in EventKind)

carrier_events = Table(
    "carrier_events",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("tracking_number", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("place", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    # NULL while no parcel is known under the tracking number, or its end is in doubt.
    Column("applied_at", DateTime(timezone=True)),
    # Of what came as a message: the carrier was asked, and said the same, or did not.
    Column("confirmed_at", DateTime(timezone=True)),
    Column("contradicted_at", DateTime(timezone=True)),
    CheckConstraint(f"kind IN ({_KINDS})", name="kind_known"),
    CheckConstraint("sequence > 0", name="sequence_positive"),
    CheckConstraint(f"length(id) BETWEEN 1 AND {ID_CHARACTERS_MAX}", name="id_short"),
    CheckConstraint(f"length(tracking_number) BETWEEN 1 AND {ID_CHARACTERS_MAX}", name="tracking_number_short"),
    CheckConstraint(f"length(reference) <= {ID_CHARACTERS_MAX}", name="reference_short"),
    CheckConstraint(f"length(place) <= {PLACE_CHARACTERS_MAX}", name="place_short"),
    Index("ix_carrier_events_unheard", "reference", postgresql_where=text("applied_at IS NULL")),
    Index("ix_carrier_events_waiting", "carrier", "tracking_number", postgresql_where=text("applied_at IS NULL")),
)
