"""Redemptions with their lines, timelines and personal limits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GRANTS = {
    "redemptions": "SELECT, INSERT, UPDATE",
    "redemption_lines": "SELECT, INSERT",
    "redemption_events": "SELECT, INSERT",
    "limit_counters": "SELECT, INSERT, UPDATE",
}
APPEND_ONLY = ("redemption_lines", "redemption_events")

# The arrows of redemptions/domain.py once more, where no code can pass them by.
GUARD_ARROWS = """
CREATE FUNCTION guard_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
        (('accepted', 'confirmed'), ('accepted', 'declined'), ('confirmed', 'fulfilled')) THEN
        RAISE EXCEPTION 'a redemption does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.customer_id, NEW.account_id, NEW.campaign, NEW.mode, NEW.price_points, NEW.accepted_on) IS DISTINCT FROM
       (OLD.id, OLD.customer_id, OLD.account_id, OLD.campaign, OLD.mode, OLD.price_points, OLD.accepted_on) THEN
        RAISE EXCEPTION 'what was redeemed does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
# A hold ends once.
GUARD_HOLDS = """
CREATE FUNCTION guard_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'held' OR (NEW.redemption_id, NEW.lot_id, NEW.account_id, NEW.points) IS DISTINCT FROM
       (OLD.redemption_id, OLD.lot_id, OLD.account_id, OLD.points) THEN
        RAISE EXCEPTION 'a hold ends once and is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "redemptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("price_points", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_on", sa.Date(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("events_count", sa.Integer(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state = 'declined') = (reasons <> '[]'::jsonb)", name=op.f("ck_redemptions_declined_with_reasons")
        ),
        sa.CheckConstraint("mode IN ('points')", name=op.f("ck_redemptions_mode_known")),
        sa.CheckConstraint(
            "state IN ('accepted', 'confirmed', 'fulfilled', 'declined')", name=op.f("ck_redemptions_state_known")
        ),
        sa.CheckConstraint("price_points > 0", name=op.f("ck_redemptions_price_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_redemptions_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_redemptions_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemptions")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_redemptions_customer", "redemptions", ["customer_id", "id"], unique=False)
    op.create_index(
        "ix_redemptions_live",
        "redemptions",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('accepted', 'confirmed')"),
    )
    op.create_table(
        "redemption_lines",
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("offer_version", sa.Integer(), nullable=False),
        sa.Column("reward", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_points", sa.BigInteger(), nullable=False),
        sa.Column("limit_keys", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 10", name=op.f("ck_redemption_lines_at_most_ten")),
        sa.CheckConstraint("quantity BETWEEN 1 AND 100", name=op.f("ck_redemption_lines_quantity_bounded")),
        sa.CheckConstraint("unit_points > 0", name=op.f("ck_redemption_lines_price_positive")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemptions.id"], name=op.f("fk_redemption_lines_redemption_id")),
        sa.PrimaryKeyConstraint("redemption_id", "number", name=op.f("pk_redemption_lines")),
    )
    op.create_table(
        "redemption_events",
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("redemption_id", "number", name=op.f("pk_redemption_events")),
    )
    op.create_table(
        "limit_counters",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("limit_key", sa.Text(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.CheckConstraint("taken >= 0", name=op.f("ck_limit_counters_taken_not_negative")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_limit_counters_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", "limit_key", name=op.f("pk_limit_counters")),
        postgresql_with={"fillfactor": "70"},
    )
    op.execute(GUARD_ARROWS)
    op.execute("CREATE TRIGGER guard_redemption BEFORE UPDATE ON redemptions FOR EACH ROW EXECUTE FUNCTION guard_redemption()")
    op.execute(GUARD_HOLDS)
    op.execute("CREATE TRIGGER guard_hold BEFORE UPDATE ON holds FOR EACH ROW EXECUTE FUNCTION guard_hold()")
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def downgrade() -> None:
    op.drop_table("limit_counters")
    op.drop_table("redemption_events")
    op.drop_table("redemption_lines")
    op.drop_table("redemptions")
    op.execute("DROP TRIGGER guard_hold ON holds")
    op.execute("DROP FUNCTION guard_hold")
    op.execute("DROP FUNCTION guard_redemption")
