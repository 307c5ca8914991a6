"""What comes back: return documents, and counters on lines and draws that say how much of them did."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

GRANTS = {
    "reservation_returns": "SELECT, INSERT",
    "reservation_return_lines": "SELECT, INSERT",
    "reservation_lines": "UPDATE (returned, places_returned)",
    "reservation_draws": "UPDATE (returned, restocked)",
}
APPEND_ONLY = ("reservation_returns", "reservation_return_lines")
COUNTERS = {"reservation_lines": ("returned", "places_returned"), "reservation_draws": ("returned", "restocked")}
NO_LONGER_APPEND_ONLY = tuple(COUNTERS)

# Counters rise, and nothing else of the row changes, whoever tries.
ONLY_COUNTERS_RISE = """
CREATE FUNCTION only_{table}_counters_rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.{first} < OLD.{first} OR NEW.{second} < OLD.{second}
       OR to_jsonb(NEW) - '{{{first},{second}}}'::text[] IS DISTINCT FROM to_jsonb(OLD) - '{{{first},{second}}}'::text[] THEN
        RAISE EXCEPTION 'of rows of {table} only what has come back changes, and it rises' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "reservation_returns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("gives_back", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "gives_back IN ('stock_and_places', 'stock', 'nothing')", name=op.f("ck_reservation_returns_gives_back_known")
        ),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_reservation_returns_fingerprint_whole")),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.id"], name=op.f("fk_reservation_returns_reservation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation_returns")),
    )
    op.create_table(
        "reservation_return_lines",
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_return_lines_quantity_positive")),
        sa.ForeignKeyConstraint(["return_id"], ["reservation_returns.id"], name=op.f("fk_reservation_return_lines_return_id")),
        sa.ForeignKeyConstraint(
            ["reservation_id", "line"],
            ["reservation_lines.reservation_id", "reservation_lines.number"],
            name=op.f("fk_reservation_return_lines_reservation_id_line"),
        ),
        sa.PrimaryKeyConstraint("return_id", "line", name=op.f("pk_reservation_return_lines")),
    )
    op.create_index("ix_reservation_return_lines_line", "reservation_return_lines", ["reservation_id", "line"], unique=False)
    _count_on_lines_and_draws()
    _move_stock_by_returns()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO catalog_service")


def _count_on_lines_and_draws() -> None:
    for table, (first, second) in COUNTERS.items():
        for counter in (first, second):
            op.add_column(table, sa.Column(counter, sa.BigInteger(), server_default="0", nullable=False))
        op.create_check_constraint(
            op.f(f"ck_{table}_returned_at_most"),
            table,
            f"0 <= {second} AND {second} <= {first} AND {first} <= quantity",
        )
        op.execute(f"DROP TRIGGER append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(ONLY_COUNTERS_RISE.format(table=table, first=first, second=second))
        op.execute(
            f"CREATE TRIGGER only_counters_rise BEFORE UPDATE ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION only_{table}_counters_rise()"
        )
    op.drop_constraint("ck_reservation_lines_cost_not_negative", "reservation_lines")
    op.create_check_constraint(
        op.f("ck_reservation_lines_cost_by_the_unit"), "reservation_lines", "cost_minor >= 0 AND cost_minor % quantity = 0"
    )


def _move_stock_by_returns() -> None:
    op.add_column("stock_movements", sa.Column("return_id", sa.Uuid(), nullable=True))
    for name in ("kind_known", "reservation_named"):
        op.drop_constraint(f"ck_stock_movements_{name}", "stock_movements")
    op.create_check_constraint(
        op.f("ck_stock_movements_kind_known"),
        "stock_movements",
        "kind IN ('received', 'withdrawn', 'held', 'released', 'consumed', 'given_back', 'returned', 'lost')",
    )
    op.create_check_constraint(
        op.f("ck_stock_movements_reservation_named"),
        "stock_movements",
        "(kind IN ('received', 'withdrawn')) = (reservation_id IS NULL) AND (reservation_id IS NULL) = (line IS NULL)",
    )
    op.create_check_constraint(
        op.f("ck_stock_movements_return_named"),
        "stock_movements",
        "(kind IN ('given_back', 'returned', 'lost')) = (return_id IS NOT NULL)",
    )
    op.create_index(
        "uq_stock_movements_returned_once",
        "stock_movements",
        ["return_id", "line", "batch_id"],
        unique=True,
        postgresql_where=sa.text("return_id IS NOT NULL"),
    )
