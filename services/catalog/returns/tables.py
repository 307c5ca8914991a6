"""Tables of return documents: what came back of which reservation. Which batches it went to, stock movements say."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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

from services.catalog.metadata import metadata
from services.catalog.returns.domain import GivesBack

_GIVES_BACK = ", ".join(f"'{value.value}'" for value in GivesBack)

reservation_returns = Table(
    "reservation_returns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("reservation_id", Uuid, ForeignKey("reservations.id"), nullable=False),
    Column("gives_back", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"gives_back IN ({_GIVES_BACK})", name="gives_back_known"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
)

reservation_return_lines = Table(
    "reservation_return_lines",
    metadata,
    Column("return_id", Uuid, ForeignKey("reservation_returns.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("reservation_id", Uuid, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    ForeignKeyConstraint(["reservation_id", "line"], ["reservation_lines.reservation_id", "reservation_lines.number"]),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    Index("ix_reservation_return_lines_line", "reservation_id", "line"),
)
