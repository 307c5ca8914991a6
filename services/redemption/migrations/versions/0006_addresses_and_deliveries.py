"""The address book, and how the goods of a redemption reach the customer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

GRANTS = {
    "customer_addresses": "SELECT, INSERT, DELETE, UPDATE (sealed, is_default, changed_at)",
    "redemption_deliveries": "SELECT, INSERT, UPDATE (fulfillment_version, parts, went_out, changed_at)",
}

# What fulfillment told is replaced by what it told later, never by what it told before (G34).
GUARD_DELIVERIES = """
CREATE FUNCTION guard_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fulfillment_version < OLD.fulfillment_version OR (OLD.went_out AND NOT NEW.went_out) THEN
        RAISE EXCEPTION 'a delivery does not go back' USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.redemption_id, NEW.way, NEW.branch, NEW.contact_sealed, NEW.address_sealed) IS DISTINCT FROM
       (OLD.redemption_id, OLD.way, OLD.branch, OLD.contact_sealed, OLD.address_sealed) THEN
        RAISE EXCEPTION 'where a redemption goes does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "customer_addresses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("place BETWEEN 1 AND 20", name=op.f("ck_customer_addresses_at_most_twenty")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_addresses_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_addresses")),
        sa.UniqueConstraint("customer_id", "place", name="uq_customer_addresses_place"),
    )
    op.create_index(
        "uq_customer_addresses_default",
        "customer_addresses",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "redemption_deliveries",
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=True),
        sa.Column("branch_names", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("contact_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("address_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("fulfillment_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("went_out", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("way IN ('courier', 'pickup')", name=op.f("ck_redemption_deliveries_way_known")),
        sa.CheckConstraint(
            "(way = 'pickup') = (branch IS NOT NULL AND branch_names IS NOT NULL)",
            name=op.f("ck_redemption_deliveries_pickup_at_a_branch"),
        ),
        sa.CheckConstraint(
            "(way = 'courier') = (address_sealed IS NOT NULL)", name=op.f("ck_redemption_deliveries_courier_to_an_address")
        ),
        sa.CheckConstraint("fulfillment_version >= 0", name=op.f("ck_redemption_deliveries_version_not_negative")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemptions.id"], name=op.f("fk_redemption_deliveries_redemption_id")),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_redemption_deliveries")),
        postgresql_with={"fillfactor": "70"},
    )
    op.execute(GUARD_DELIVERIES)
    op.execute(
        "CREATE TRIGGER guard_delivery BEFORE UPDATE ON redemption_deliveries FOR EACH ROW EXECUTE FUNCTION guard_delivery()"
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def downgrade() -> None:
    op.drop_table("redemption_deliveries")
    op.execute("DROP FUNCTION guard_delivery")
    op.drop_table("customer_addresses")
