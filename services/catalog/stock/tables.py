"""Tables of what there is only so much of: stock batches with their movements, quotas, budget lines.

Every counter is explained: a batch by its movements and the draws of reservations, a quota and a budget line by reservations.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from services.catalog.campaigns.domain import BUDGET_LINES
from services.catalog.metadata import metadata

_LINES = ", ".join(f"'{line}'" for line in BUDGET_LINES)
_KINDS = ", ".join(
    f"'{kind}'" for kind in ("received", "withdrawn", "held", "released", "consumed", "given_back", "returned", "lost")
)
_NARROW = {"fillfactor": "70"}  # counters are updated in place

stock_batches = Table(
    "stock_batches",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("campaign_code", Text, ForeignKey("campaigns.code"), nullable=False),
    Column("code", Text, nullable=False),
    Column("reward_code", Text, nullable=False),
    Column("expires_on", Date),
    Column("received", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("consumed", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("campaign_code", "code"),
    CheckConstraint("received >= 0 AND held >= 0 AND consumed >= 0", name="units_not_negative"),
    CheckConstraint("held + consumed <= received", name="never_oversold"),
    Index("ix_stock_batches_reward", "campaign_code", "reward_code"),
    postgresql_with=_NARROW,
)

stock_movements = Table(
    "stock_movements",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("batch_id", Uuid, ForeignKey("stock_batches.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("reservation_id", Uuid),
    Column("line", Integer),
    # The return document by which units came back, or were found to be lost before their handing out was known.
    Column("return_id", Uuid),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"kind IN ({_KINDS})", name="kind_known"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint(
        "(kind IN ('received', 'withdrawn')) = (reservation_id IS NULL) AND (reservation_id IS NULL) = (line IS NULL)",
        name="reservation_named",
    ),
    CheckConstraint("(kind IN ('given_back', 'returned', 'lost')) = (return_id IS NOT NULL)", name="return_named"),
    # A line takes from a batch once, and what it took and nobody has returned goes one way: back or out.
    Index(
        "uq_stock_movements_taken_once",
        "reservation_id",
        "line",
        "batch_id",
        unique=True,
        postgresql_where=text("kind = 'held'"),
    ),
    Index(
        "uq_stock_movements_settled_once",
        "reservation_id",
        "line",
        "batch_id",
        unique=True,
        postgresql_where=text("kind IN ('released', 'consumed')"),
    ),
    Index(
        "uq_stock_movements_returned_once",
        "return_id",
        "line",
        "batch_id",
        unique=True,
        postgresql_where=text("return_id IS NOT NULL"),
    ),
    Index("ix_stock_movements_batch", "batch_id", "id"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("offer_id", Uuid, ForeignKey("offers.id"), primary_key=True),
    # NULL: no ceiling. What is taken is counted all the same, so that a ceiling can come later.
    Column("total_ceiling", BigInteger),
    Column("total_taken", BigInteger, nullable=False, server_default="0"),
    Column("day_ceiling", BigInteger),
    Column("day_taken", BigInteger, nullable=False, server_default="0"),
    # The bank's day that `day_taken` counts; the first reservation of a later day starts it anew.
    Column("day_on", Date, nullable=False),
    CheckConstraint("total_taken >= 0 AND day_taken >= 0", name="taken_not_negative"),
    CheckConstraint("total_taken <= total_ceiling", name="total_within_ceiling"),
    CheckConstraint("day_taken <= day_ceiling", name="day_within_ceiling"),
    CheckConstraint("day_taken <= total_taken", name="day_within_total"),
    postgresql_with=_NARROW,
)

budget_lines = Table(
    "budget_lines",
    metadata,
    Column("campaign_code", Text, ForeignKey("campaigns.code"), primary_key=True),
    Column("line", Text, primary_key=True),
    # NULL: no ceiling.
    Column("ceiling_minor", BigInteger),
    Column("committed_minor", BigInteger, nullable=False, server_default="0"),
    Column("spent_minor", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(f"line IN ({_LINES})", name="line_known"),
    CheckConstraint("committed_minor >= 0 AND spent_minor >= 0", name="amounts_not_negative"),
    CheckConstraint("committed_minor + spent_minor <= ceiling_minor", name="within_ceiling"),
    postgresql_with=_NARROW,
)
