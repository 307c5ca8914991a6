"""Stock by batch with its movements, quotas, budget lines, reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GRANTS = {
    "stock_batches": "SELECT, INSERT, UPDATE",
    "stock_movements": "SELECT, INSERT",
    "quotas": "SELECT, INSERT, UPDATE",
    "budget_lines": "SELECT, INSERT, UPDATE",
    "reservations": "SELECT, INSERT, UPDATE",
    "reservation_lines": "SELECT, INSERT",
    "reservation_draws": "SELECT, INSERT",
}
APPEND_ONLY = (
    "stock_movements",
    "reservation_lines",
    "reservation_draws",
)

# The arrows of a reservation: held -> released, held -> consumed. `refused` is decided in the transaction that made the header,
# before any line exists.
CHECK_ARROW = """
CREATE FUNCTION check_reservation_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.campaign_code, NEW.fingerprint) IS DISTINCT FROM (OLD.id, OLD.campaign_code, OLD.fingerprint) THEN
        RAISE EXCEPTION 'what was asked for never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state = 'held' AND (NEW.state IN ('released', 'consumed') OR (NEW.state = 'refused'
       AND NOT EXISTS (SELECT 1 FROM reservation_lines WHERE reservation_id = OLD.id))) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a reservation does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "stock_batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reward_code", sa.Text(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("consumed", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("held + consumed <= received", name=op.f("ck_stock_batches_never_oversold")),
        sa.CheckConstraint("received >= 0 AND held >= 0 AND consumed >= 0", name=op.f("ck_stock_batches_units_not_negative")),
        sa.ForeignKeyConstraint(["campaign_code"], ["campaigns.code"], name=op.f("fk_stock_batches_campaign_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_batches")),
        sa.UniqueConstraint("campaign_code", "code", name=op.f("uq_stock_batches_campaign_code_code")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_stock_batches_reward", "stock_batches", ["campaign_code", "reward_code"], unique=False)
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("reservation_id", sa.Uuid(), nullable=True),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('held', 'released', 'consumed')) = (reservation_id IS NOT NULL)"
            " AND (reservation_id IS NULL) = (line IS NULL)",
            name=op.f("ck_stock_movements_reservation_named"),
        ),
        sa.CheckConstraint(
            "kind IN ('received', 'withdrawn', 'held', 'released', 'consumed')", name=op.f("ck_stock_movements_kind_known")
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_stock_movements_quantity_positive")),
        sa.ForeignKeyConstraint(["batch_id"], ["stock_batches.id"], name=op.f("fk_stock_movements_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index("ix_stock_movements_batch", "stock_movements", ["batch_id", "id"], unique=False)
    op.create_index(
        "uq_stock_movements_settled_once",
        "stock_movements",
        ["reservation_id", "line", "batch_id"],
        unique=True,
        postgresql_where=sa.text("kind IN ('released', 'consumed')"),
    )
    op.create_index(
        "uq_stock_movements_taken_once",
        "stock_movements",
        ["reservation_id", "line", "batch_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'held'"),
    )
    op.create_table(
        "quotas",
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("total_ceiling", sa.BigInteger(), nullable=True),
        sa.Column("total_taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("day_ceiling", sa.BigInteger(), nullable=True),
        sa.Column("day_taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("day_on", sa.Date(), nullable=False),
        sa.CheckConstraint("day_taken <= day_ceiling", name=op.f("ck_quotas_day_within_ceiling")),
        sa.CheckConstraint("day_taken <= total_taken", name=op.f("ck_quotas_day_within_total")),
        sa.CheckConstraint("total_taken <= total_ceiling", name=op.f("ck_quotas_total_within_ceiling")),
        sa.CheckConstraint("total_taken >= 0 AND day_taken >= 0", name=op.f("ck_quotas_taken_not_negative")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name=op.f("fk_quotas_offer_id")),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_quotas")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "budget_lines",
        sa.Column("campaign_code", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("ceiling_minor", sa.BigInteger(), nullable=True),
        sa.Column("committed_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "line IN ('promotion_online', 'promotion_offline', 'procurement', 'logistics', 'service', 'other')",
            name=op.f("ck_budget_lines_line_known"),
        ),
        sa.CheckConstraint("committed_minor + spent_minor <= ceiling_minor", name=op.f("ck_budget_lines_within_ceiling")),
        sa.CheckConstraint("committed_minor >= 0 AND spent_minor >= 0", name=op.f("ck_budget_lines_amounts_not_negative")),
        sa.ForeignKeyConstraint(["campaign_code"], ["campaigns.code"], name=op.f("fk_budget_lines_campaign_code")),
        sa.PrimaryKeyConstraint("campaign_code", "line", name=op.f("pk_budget_lines")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("campaign_code", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("reasons", postgresql.JSONB(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'refused') = (reasons IS NOT NULL)", name=op.f("ck_reservations_refused_with_reasons")),
        sa.CheckConstraint("fingerprint IS NOT NULL OR state = 'released'", name=op.f("ck_reservations_tombstone_released")),
        sa.CheckConstraint("state IN ('held', 'refused', 'released', 'consumed')", name=op.f("ck_reservations_state_known")),
        sa.CheckConstraint("(fingerprint IS NULL) = (campaign_code IS NULL)", name=op.f("ck_reservations_tombstone_empty")),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_reservations_fingerprint_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_reservations_campaign", "reservations", ["campaign_code"], unique=False)
    op.create_table(
        "reservation_lines",
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("offer_version", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=False),
        sa.CheckConstraint("cost_minor >= 0", name=op.f("ck_reservation_lines_cost_not_negative")),
        sa.CheckConstraint("number BETWEEN 1 AND 10", name=op.f("ck_reservation_lines_number_in_range")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_lines_quantity_positive")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name=op.f("fk_reservation_lines_offer_id")),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.id"], name=op.f("fk_reservation_lines_reservation_id")),
        sa.PrimaryKeyConstraint("reservation_id", "number", name=op.f("pk_reservation_lines")),
    )
    op.create_index("ix_reservation_lines_offer", "reservation_lines", ["offer_id"], unique=False)
    op.create_table(
        "reservation_draws",
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_draws_quantity_positive")),
        sa.ForeignKeyConstraint(["batch_id"], ["stock_batches.id"], name=op.f("fk_reservation_draws_batch_id")),
        sa.ForeignKeyConstraint(
            ["reservation_id", "line"],
            ["reservation_lines.reservation_id", "reservation_lines.number"],
            name=op.f("fk_reservation_draws_reservation_id_line"),
        ),
        sa.PrimaryKeyConstraint("reservation_id", "line", "batch_id", name=op.f("pk_reservation_draws")),
    )
    op.create_index("ix_reservation_draws_batch", "reservation_draws", ["batch_id"], unique=False)
    op.execute(CHECK_ARROW)
    op.execute(
        "CREATE TRIGGER only_along_arrows BEFORE UPDATE ON reservations FOR EACH ROW EXECUTE FUNCTION check_reservation_arrow()"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO catalog_service")
