"""Tables of fulfillments: a header a redemption with its state, and its lines.

The header's primary key decides between an acceptance and a cancellation that comes first: a tombstone is a state of this row.
States and their arrows, enforced by a trigger that the migration makes:
    issued    -> cancelled
    under_way -> completed  every parcel came to its end, and something reached the customer
    under_way -> returned   everything came back or was lost
    under_way -> cancelled  everything was stopped before it left
"""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Integer, LargeBinary, Table, Text, Uuid

from services.fulfillment.fulfillments.domain import LINES_MAX, FulfillmentState
from services.fulfillment.metadata import metadata

_STATES = ", ".join(f"'{state.value}'" for state in FulfillmentState)

fulfillments = Table(
    "fulfillments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # NULL in a tombstone: the cancellation came first, nobody knows of what.
    Column("fingerprint", LargeBinary),
    Column("customer_id", Uuid),
    Column("owner_issuer", Text),
    Column("owner_subject", Text),
    Column("campaign", Text),
    Column("accepted_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    # Redemption learns the first one from the answer to its own call.
    Column("reported_version", Integer, nullable=False, server_default="1"),
    CheckConstraint("reported_version BETWEEN 1 AND version", name="reported_in_range"),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint("version > 0", name="version_positive"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
    CheckConstraint(
        "num_nulls(fingerprint, customer_id, owner_issuer, owner_subject, campaign, accepted_at) IN (0, 6)",
        name="whole_or_tombstone",
    ),
    CheckConstraint("fingerprint IS NOT NULL OR state = 'cancelled'", name="tombstone_cancelled"),
)

fulfillment_lines = Table(
    "fulfillment_lines",
    metadata,
    Column("fulfillment_id", Uuid, ForeignKey("fulfillments.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    CheckConstraint(f"number BETWEEN 1 AND {LINES_MAX}", name="number_in_range"),
    CheckConstraint("kind IN ('e_voucher', 'goods')", name="kind_known"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
)
