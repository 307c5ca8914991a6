"""The ledger's tables. Append-only: postings. Everything else can be rebuilt from them.

A posting is one row that debits one account and credits another, so debits equal credits by construction (G1); the house's
side has no balance row, since one row that every commit must lock would be the end of the throughput.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from services.redemption.metadata import metadata

house_accounts = Table(
    "house_accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, ForeignKey("customers.id"), nullable=False, unique=True),
    Column("state", Text, nullable=False, server_default="active"),
    Column("state_reason", Text),
    Column("state_by", Text),
    Column("state_until", DateTime(timezone=True)),
    Column("posted", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("postings_count", BigInteger, nullable=False, server_default="0"),
    Column("last_posting_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('active', 'no_earn', 'no_redeem', 'frozen', 'closed')", name="state_known"),
    CheckConstraint("state = 'active' OR (state_reason IS NOT NULL AND state_by IS NOT NULL)", name="state_explained"),
    CheckConstraint("posted >= 0 AND held >= 0 AND held <= posted", name="never_overspent"),
    CheckConstraint("postings_count >= 0", name="postings_count_not_negative"),
    postgresql_with={"fillfactor": "70"},
)

lots = Table(
    "lots",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id"), nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("earned_at", DateTime(timezone=True), nullable=False),
    Column("source", Text, nullable=False),
    Column("source_ref", Text, nullable=False),
    Column("original", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default="0"),
    # A flag of its own: were the index on `remaining > 0`, every use of a lot would have to touch the index.
    Column("is_open", Boolean, nullable=False, server_default=text("true")),
    CheckConstraint("source IN ('opening', 'earned', 'grace')", name="source_known"),
    CheckConstraint("0 <= held AND held <= remaining AND remaining <= original AND original > 0", name="within_bounds"),
    CheckConstraint("is_open = (remaining > 0)", name="open_while_points_remain"),
    UniqueConstraint("account_id", "source", "source_ref", name="uq_lots_source"),
    Index("ix_lots_open", "account_id", "expires_on", "id", postgresql_where=text("is_open")),
    Index("ix_lots_expiring", "expires_on", postgresql_where=text("is_open")),
    postgresql_with={"fillfactor": "70"},
)

holds = Table(
    "holds",
    metadata,
    Column("redemption_id", Uuid, primary_key=True),
    Column("lot_id", Uuid, ForeignKey("lots.id"), primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id"), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="held"),
    Column("refunded", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("points > 0", name="points_positive"),
    CheckConstraint("0 <= refunded AND refunded <= points", name="refund_bounded"),
    CheckConstraint("refunded = 0 OR state = 'posted'", name="refund_of_what_was_posted"),
    CheckConstraint("state IN ('held', 'posted', 'released')", name="state_known"),
    Index("ix_holds_lot", "lot_id", postgresql_where=text("state = 'held'")),
    postgresql_with={"fillfactor": "70"},
)

postings = Table(
    "postings",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("debit_account", Uuid, nullable=False),
    Column("credit_account", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("lot_id", Uuid, nullable=False),
    Column("redemption_id", Uuid),
    Column("reason", Text, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("corrects_number", BigInteger),
    Column("hash", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["account_id", "corrects_number"], ["postings.account_id", "postings.number"], name="fk_postings_corrects"
    ),
    CheckConstraint("kind IN ('opening', 'earned', 'redeemed', 'expired', 'grace', 'refunded')", name="kind_known"),
    CheckConstraint("points > 0", name="points_positive"),
    CheckConstraint("debit_account <> credit_account", name="two_accounts"),
    CheckConstraint("account_id IN (debit_account, credit_account)", name="touches_its_account"),
    CheckConstraint("balance_after >= 0", name="never_overspent"),
    CheckConstraint("number > 0", name="number_positive"),
    CheckConstraint("octet_length(hash) = 32", name="hash_whole"),
    Index("ix_postings_at", "account_id", "at"),
    Index("ix_postings_lot", "lot_id"),
    Index("ix_postings_redemption", "redemption_id", postgresql_where=text("redemption_id IS NOT NULL")),
)
