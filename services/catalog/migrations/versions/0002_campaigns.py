"""Campaigns, their immutable versions, offers, merchants and terminals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = {
    "merchants": "SELECT, INSERT, UPDATE",
    "terminals": "SELECT, INSERT, UPDATE, DELETE",
    "campaigns": "SELECT, INSERT, UPDATE",
    "campaign_versions": "SELECT, INSERT",
    "publications": "SELECT, INSERT",
    "offers": "SELECT, INSERT, UPDATE",
    "offer_versions": "SELECT, INSERT",
    "version_offers": "SELECT, INSERT",
}
APPEND_ONLY = (
    "campaign_versions",
    "publications",
    "offer_versions",
    "version_offers",
)


def upgrade() -> None:
    op.create_table(
        "merchants",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=False),
        sa.Column("address", postgresql.JSONB(), nullable=False),
        sa.Column("accepts_vouchers", sa.Boolean(), nullable=False),
        sa.Column("accepts_spend", sa.Boolean(), nullable=False),
        sa.Column("contract_from", sa.Date(), nullable=False),
        sa.Column("contract_until", sa.Date(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("category_code ~ '^[0-9]{4}$'", name=op.f("ck_merchants_category_code_form")),
        sa.CheckConstraint("contract_from <= contract_until", name=op.f("ck_merchants_contract_forward")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_merchants")),
    )
    op.create_table(
        "terminals",
        sa.Column("merchant_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_code"], ["merchants.code"], name=op.f("fk_terminals_merchant_code")),
        sa.PrimaryKeyConstraint("merchant_code", "code", name=op.f("pk_terminals")),
    )
    op.create_table(
        "campaigns",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.Column("live_version", sa.Integer(), nullable=True),
        sa.Column("opens_on", sa.Date(), nullable=True),
        sa.Column("closes_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'approved', 'live', 'paused', 'ended')", name=op.f("ck_campaigns_state_known")
        ),
        sa.CheckConstraint(
            "state NOT IN ('live', 'paused') OR live_version IS NOT NULL", name=op.f("ck_campaigns_live_has_version")
        ),
        sa.CheckConstraint(
            "(live_version IS NULL) = (opens_on IS NULL) AND (live_version IS NULL) = (closes_on IS NULL)",
            name=op.f("ck_campaigns_days_with_version"),
        ),
        sa.CheckConstraint("live_version <= last_version", name=op.f("ck_campaigns_live_version_exists")),
        sa.CheckConstraint("opens_on <= closes_on", name=op.f("ck_campaigns_days_forward")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "campaign_versions",
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cells", postgresql.JSONB(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("loaded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_campaign_versions_number_positive")),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_campaign_versions_fingerprint_whole")),
        sa.ForeignKeyConstraint(["campaign_code"], ["campaigns.code"], name=op.f("fk_campaign_versions_campaign_code")),
        sa.PrimaryKeyConstraint("campaign_code", "number", name=op.f("pk_campaign_versions")),
    )
    op.create_table(
        "publications",
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_code", "number"],
            ["campaign_versions.campaign_code", "campaign_versions.number"],
            name=op.f("fk_publications_campaign_code_number"),
        ),
        sa.PrimaryKeyConstraint("campaign_code", "number", name=op.f("pk_publications")),
    )
    op.create_table(
        "offers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reward_code", sa.Text(), nullable=False),
        sa.Column("live_version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_code"], ["campaigns.code"], name=op.f("fk_offers_campaign_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
        sa.UniqueConstraint("campaign_code", "code", name=op.f("uq_offers_campaign_code_code")),
    )
    op.create_index("ix_offers_reward", "offers", ["campaign_code", "reward_code"], unique=False)
    op.create_table(
        "offer_versions",
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("price_points", sa.BigInteger(), nullable=False),
        sa.Column("unit_cost_minor", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("opens_on", sa.Date(), nullable=False),
        sa.Column("closes_on", sa.Date(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_offer_versions_fingerprint_whole")),
        sa.CheckConstraint("opens_on <= closes_on", name=op.f("ck_offer_versions_days_forward")),
        sa.CheckConstraint("price_points > 0", name=op.f("ck_offer_versions_price_positive")),
        sa.CheckConstraint("unit_cost_minor >= 0", name=op.f("ck_offer_versions_cost_not_negative")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name=op.f("fk_offer_versions_offer_id")),
        sa.PrimaryKeyConstraint("offer_id", "number", name=op.f("pk_offer_versions")),
    )
    op.create_index("ix_offer_versions_words", "offer_versions", ["words"], unique=False, postgresql_using="gin")
    op.create_table(
        "version_offers",
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("offer_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_code", "campaign_version"],
            ["campaign_versions.campaign_code", "campaign_versions.number"],
            name=op.f("fk_version_offers_campaign_code_campaign_version"),
        ),
        sa.ForeignKeyConstraint(
            ["offer_id", "offer_version"],
            ["offer_versions.offer_id", "offer_versions.number"],
            name=op.f("fk_version_offers_offer_id_offer_version"),
        ),
        sa.PrimaryKeyConstraint("campaign_code", "campaign_version", "offer_id", name=op.f("pk_version_offers")),
    )
    op.create_foreign_key(
        "fk_campaigns_live_version",
        "campaigns",
        "campaign_versions",
        ["code", "live_version"],
        ["campaign_code", "number"],
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO catalog_service")
