"""Customers, and the ledger of their points."""

from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = {
    # Not the sign-in: once given to a customer it is never given to another, and never moves.
    "customers": "SELECT, INSERT, UPDATE (tier, language, name_sealed, phone_sealed, phone_lookup, changed_at)",
    "house_accounts": "SELECT",
    "accounts": "SELECT, INSERT, UPDATE",
    "lots": "SELECT, INSERT, UPDATE",
    "holds": "SELECT, INSERT, UPDATE",
    "postings": "SELECT, INSERT",
}
APPEND_ONLY = ("postings",)

HOUSE = {code: uuid5(NAMESPACE_URL, f"urn:huangou:house:{code}") for code in ("opening", "issued", "redeemed", "expired")}


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_number", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("phone_lookup", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("language IN ('zh_hans', 'zh_hant', 'en')", name=op.f("ck_customers_language_known")),
        sa.CheckConstraint("octet_length(phone_lookup) = 32", name=op.f("ck_customers_phone_lookup_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("customer_number", name=op.f("uq_customers_customer_number")),
        sa.UniqueConstraint("issuer", "subject", name="uq_customers_identity"),
    )
    op.create_index("ix_customers_phone", "customers", ["phone_lookup"], unique=False)
    op.create_table(
        "house_accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_house_accounts")),
        sa.UniqueConstraint("code", name=op.f("uq_house_accounts_code")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("state_by", sa.Text(), nullable=True),
        sa.Column("state_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("posted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("postings_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_posting_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state = 'active' OR (state_reason IS NOT NULL AND state_by IS NOT NULL)", name=op.f("ck_accounts_state_explained")
        ),
        sa.CheckConstraint(
            "state IN ('active', 'no_earn', 'no_redeem', 'frozen', 'closed')", name=op.f("ck_accounts_state_known")
        ),
        sa.CheckConstraint("posted >= 0 AND held >= 0 AND held <= posted", name=op.f("ck_accounts_never_overspent")),
        sa.CheckConstraint("postings_count >= 0", name=op.f("ck_accounts_postings_count_not_negative")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_accounts_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_accounts_customer_id")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "lots",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("earned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_ref", sa.Text(), nullable=False),
        sa.Column("original", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("is_open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("source IN ('opening', 'earned', 'grace')", name=op.f("ck_lots_source_known")),
        sa.CheckConstraint(
            "0 <= held AND held <= remaining AND remaining <= original AND original > 0", name=op.f("ck_lots_within_bounds")
        ),
        sa.CheckConstraint("is_open = (remaining > 0)", name=op.f("ck_lots_open_while_points_remain")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_lots_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lots")),
        sa.UniqueConstraint("account_id", "source", "source_ref", name="uq_lots_source"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_lots_expiring", "lots", ["expires_on"], unique=False, postgresql_where=sa.text("is_open"))
    op.create_index(
        "ix_lots_open", "lots", ["account_id", "expires_on", "id"], unique=False, postgresql_where=sa.text("is_open")
    )
    op.create_table(
        "holds",
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="held", nullable=False),
        sa.CheckConstraint("state IN ('held', 'posted', 'released')", name=op.f("ck_holds_state_known")),
        sa.CheckConstraint("points > 0", name=op.f("ck_holds_points_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_holds_account_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_holds_lot_id")),
        sa.PrimaryKeyConstraint("redemption_id", "lot_id", name=op.f("pk_holds")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_holds_lot", "holds", ["lot_id"], unique=False, postgresql_where=sa.text("state = 'held'"))
    op.create_table(
        "postings",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit_account", sa.Uuid(), nullable=False),
        sa.Column("credit_account", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("corrects_number", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('opening', 'earned', 'redeemed', 'expired', 'grace')", name=op.f("ck_postings_kind_known")
        ),
        sa.CheckConstraint("account_id IN (debit_account, credit_account)", name=op.f("ck_postings_touches_its_account")),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_postings_never_overspent")),
        sa.CheckConstraint("debit_account <> credit_account", name=op.f("ck_postings_two_accounts")),
        sa.CheckConstraint("number > 0", name=op.f("ck_postings_number_positive")),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_postings_hash_whole")),
        sa.CheckConstraint("points > 0", name=op.f("ck_postings_points_positive")),
        sa.ForeignKeyConstraint(
            ["account_id", "corrects_number"], ["postings.account_id", "postings.number"], name="fk_postings_corrects"
        ),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("pk_postings")),
    )
    op.create_index("ix_postings_at", "postings", ["account_id", "at"], unique=False)
    op.create_index("ix_postings_lot", "postings", ["lot_id"], unique=False)
    op.create_index(
        "ix_postings_redemption",
        "postings",
        ["redemption_id"],
        unique=False,
        postgresql_where=sa.text("redemption_id IS NOT NULL"),
    )
    for code, account_id in HOUSE.items():
        op.execute(f"INSERT INTO house_accounts (id, code) VALUES ('{account_id}', '{code}')")
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def downgrade() -> None:
    op.drop_table("postings")
    op.drop_table("holds")
    op.drop_table("lots")
    op.drop_table("accounts")
    op.drop_table("house_accounts")
    op.drop_table("customers")
