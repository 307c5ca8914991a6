"""Tables of campaigns: what a version says never changes, which version is in force does.

`campaign_versions`, `offer_versions`, `version_offers` and `publications` are append-only, by grant and by trigger.
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
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from services.catalog.campaigns.domain import CampaignState
from services.catalog.metadata import metadata

_STATES = ", ".join(f"'{state.value}'" for state in CampaignState)

campaigns = Table(
    "campaigns",
    metadata,
    Column("code", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("last_version", Integer, nullable=False),
    Column("live_version", Integer),
    # The days of the version in force; both are open to their end in the bank's time zone.
    Column("opens_on", Date),
    Column("closes_on", Date),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["code", "live_version"],
        ["campaign_versions.campaign_code", "campaign_versions.number"],
        name="fk_campaigns_live_version",
        use_alter=True,
    ),
    CheckConstraint(f"state IN ({_STATES})", name="state_known"),
    CheckConstraint("live_version <= last_version", name="live_version_exists"),
    CheckConstraint("state NOT IN ('live', 'paused') OR live_version IS NOT NULL", name="live_has_version"),
    CheckConstraint(
        "(live_version IS NULL) = (opens_on IS NULL) AND (live_version IS NULL) = (closes_on IS NULL)",
        name="days_with_version",
    ),
    CheckConstraint("opens_on <= closes_on", name="days_forward"),
)

campaign_versions = Table(
    "campaign_versions",
    metadata,
    Column("campaign_code", Text, ForeignKey("campaigns.code"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("cells", JSONB, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("loaded_at", DateTime(timezone=True), nullable=False),
    Column("loaded_by", Text, nullable=False),
    CheckConstraint("number > 0", name="number_positive"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
)

publications = Table(
    "publications",
    metadata,
    Column("campaign_code", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("published_by", Text, nullable=False),
    ForeignKeyConstraint(["campaign_code", "number"], ["campaign_versions.campaign_code", "campaign_versions.number"]),
)

offers = Table(
    "offers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("campaign_code", Text, ForeignKey("campaigns.code"), nullable=False),
    Column("code", Text, nullable=False),
    Column("reward_code", Text, nullable=False),
    # Of the version in force; NULL when it no longer holds this offer, or never did.
    Column("live_version", Integer),
    UniqueConstraint("campaign_code", "code"),
    Index("ix_offers_reward", "campaign_code", "reward_code"),
)

offer_versions = Table(
    "offer_versions",
    metadata,
    Column("offer_id", Uuid, ForeignKey("offers.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("price_points", BigInteger, nullable=False),
    Column("unit_cost_minor", BigInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("opens_on", Date, nullable=False),
    Column("closes_on", Date, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    CheckConstraint("price_points > 0", name="price_positive"),
    CheckConstraint("unit_cost_minor >= 0", name="cost_not_negative"),
    CheckConstraint("opens_on <= closes_on", name="days_forward"),
    CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_whole"),
    Index("ix_offer_versions_words", "words", postgresql_using="gin"),
)

version_offers = Table(
    "version_offers",
    metadata,
    Column("campaign_code", Text, primary_key=True),
    Column("campaign_version", Integer, primary_key=True),
    Column("offer_id", Uuid, primary_key=True),
    Column("offer_version", Integer, nullable=False),
    ForeignKeyConstraint(
        ["campaign_code", "campaign_version"], ["campaign_versions.campaign_code", "campaign_versions.number"]
    ),
    ForeignKeyConstraint(["offer_id", "offer_version"], ["offer_versions.offer_id", "offer_versions.number"]),
)
