"""Parcels with their lines, timelines and codes; branches; goods among the lines; what a fulfillment with parcels comes to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# To whom a parcel goes, by which way and what is in it, nothing of the service can change: only how far it is.
GRANTS = {
    "branches": "SELECT, INSERT, UPDATE",
    "parcels": "SELECT, INSERT, UPDATE (state, version, carrier, tracking_number, carrier_sequence, code_hmac, code_sealed, "
    "ready_until, reminded_at, state_at, changed_at)",
    "parcel_lines": "SELECT, INSERT",
    "parcel_events": "SELECT, INSERT",
    "pickup_attempts": "SELECT, INSERT",
    "fulfillments": "UPDATE (state, version, changed_at)",
}
APPEND_ONLY = ("parcel_lines", "parcel_events", "pickup_attempts")
ARROWS = {
    "fulfillments": "'issued>cancelled', 'under_way>completed', 'under_way>returned', 'under_way>cancelled'",
    "parcels": "'preparing>cancelled', 'preparing>dispatching', 'dispatching>dispatched', 'dispatched>failed', "
    "'dispatched>delivered', 'dispatched>returned', 'dispatched>lost', 'failed>delivered', 'failed>returned', 'failed>lost', "
    "'preparing>in_transfer', 'in_transfer>ready', 'ready>collected', 'ready>returned'",
}


def upgrade() -> None:
    op.drop_constraint(op.f("ck_fulfillments_state_known"), "fulfillments")
    op.create_check_constraint(
        op.f("ck_fulfillments_state_known"),
        "fulfillments",
        "state IN ('issued', 'under_way', 'completed', 'returned', 'cancelled')",
    )
    op.drop_constraint(op.f("ck_fulfillment_lines_kind_known"), "fulfillment_lines")
    op.create_check_constraint(op.f("ck_fulfillment_lines_kind_known"), "fulfillment_lines", "kind IN ('e_voucher', 'goods')")
    op.execute("DROP TRIGGER only_along_arrows ON fulfillments")
    op.create_table(
        "branches",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("addresses", postgresql.JSONB(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("hours", postgresql.JSONB(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("capacity_parcels", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("code ~ '^[A-Z0-9][A-Z0-9_-]{0,31}$'", name=op.f("ck_branches_code_form")),
        sa.CheckConstraint("capacity_parcels BETWEEN 1 AND 100000", name=op.f("ck_branches_capacity_in_range")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_branches")),
    )
    op.create_table(
        "parcels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("owner_issuer", sa.Text(), nullable=False),
        sa.Column("owner_subject", sa.Text(), nullable=False),
        sa.Column("contact_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("address_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("branch", sa.Text(), nullable=True),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("tracking_number", sa.Text(), nullable=True),
        sa.Column("carrier_sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("code_hmac", sa.LargeBinary(), nullable=True),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("ready_until", sa.Date(), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(ready_until IS NOT NULL) = (way = 'pickup' AND state NOT IN ('preparing', 'in_transfer', 'cancelled'))",
            name=op.f("ck_parcels_code_once_ready"),
        ),
        sa.CheckConstraint(
            "(tracking_number IS NOT NULL) = (way = 'courier' AND state NOT IN ('preparing', 'dispatching', 'cancelled'))",
            name=op.f("ck_parcels_tracked_once_dispatched"),
        ),
        sa.CheckConstraint(
            "(way = 'courier' AND state IN ('preparing', 'dispatching', 'dispatched', 'failed', 'delivered', "
            "'returned', 'lost', 'cancelled')) OR (way = 'pickup' AND state IN ('preparing', "
            "'in_transfer', 'ready', 'collected', 'returned', 'cancelled'))",
            name=op.f("ck_parcels_state_of_its_way"),
        ),
        sa.CheckConstraint("(way = 'courier') = (address_sealed IS NOT NULL)", name=op.f("ck_parcels_courier_with_address")),
        sa.CheckConstraint("(way = 'pickup') = (branch IS NOT NULL)", name=op.f("ck_parcels_pickup_with_branch")),
        sa.CheckConstraint("(carrier IS NULL) = (tracking_number IS NULL)", name=op.f("ck_parcels_tracked_whole")),
        sa.CheckConstraint("carrier_sequence >= 0", name=op.f("ck_parcels_carrier_sequence_not_negative")),
        sa.CheckConstraint("num_nulls(code_hmac, code_sealed, ready_until) IN (0, 3)", name=op.f("ck_parcels_code_whole")),
        sa.CheckConstraint("octet_length(code_hmac) = 32", name=op.f("ck_parcels_code_hmac_whole")),
        sa.CheckConstraint("reminded_at IS NULL OR ready_until IS NOT NULL", name=op.f("ck_parcels_reminded_once_ready")),
        sa.CheckConstraint("version > 0", name=op.f("ck_parcels_version_positive")),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillments.id"], name=op.f("fk_parcels_fulfillment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parcels")),
        sa.UniqueConstraint("fulfillment_id", "way", name=op.f("uq_parcels_fulfillment_id_way")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_parcels_branch", "parcels", ["branch", "state", "id"], unique=False, postgresql_where=sa.text("branch IS NOT NULL")
    )
    op.create_index("ix_parcels_customer", "parcels", ["customer_id", "id"], unique=False)
    op.create_index("ix_parcels_owner", "parcels", ["owner_subject", "owner_issuer", "id"], unique=False)
    op.create_index("ix_parcels_waiting", "parcels", ["ready_until"], unique=False, postgresql_where=sa.text("state = 'ready'"))
    op.create_index(
        "uq_parcels_code", "parcels", ["branch", "code_hmac"], unique=True, postgresql_where=sa.text("state = 'ready'")
    )
    op.create_index(
        "uq_parcels_tracking",
        "parcels",
        ["carrier", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("carrier IS NOT NULL"),
    )
    op.create_table(
        "parcel_lines",
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("reward_code", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["fulfillment_id", "line_number"],
            ["fulfillment_lines.fulfillment_id", "fulfillment_lines.number"],
            name=op.f("fk_parcel_lines_fulfillment_id_line_number"),
        ),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_parcel_lines_parcel_id")),
        sa.PrimaryKeyConstraint("fulfillment_id", "line_number", name=op.f("pk_parcel_lines")),
    )
    op.create_index("ix_parcel_lines_parcel_id", "parcel_lines", ["parcel_id"], unique=False)
    op.create_table(
        "parcel_events",
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint(
            "state IN ('preparing', 'dispatching', 'dispatched', 'failed', 'delivered', 'lost', "
            "'in_transfer', 'ready', 'collected', 'returned', 'cancelled')",
            name=op.f("ck_parcel_events_state_known"),
        ),
        sa.CheckConstraint("length(place) <= 200", name=op.f("ck_parcel_events_place_short")),
        sa.CheckConstraint("number > 0", name=op.f("ck_parcel_events_number_positive")),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_parcel_events_sequence_positive")),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_parcel_events_parcel_id")),
        sa.PrimaryKeyConstraint("parcel_id", "number", name=op.f("pk_parcel_events")),
    )
    op.create_index(
        "uq_parcel_events_sequence",
        "parcel_events",
        ["parcel_id", "sequence"],
        unique=True,
        postgresql_where=sa.text("sequence IS NOT NULL"),
    )
    op.create_table(
        "pickup_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_pickup_attempts_parcel_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickup_attempts")),
    )
    op.create_index("ix_pickup_attempts_parcel_id_at", "pickup_attempts", ["parcel_id", "at"], unique=False)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, arrows in ARROWS.items():
        op.execute(
            f"CREATE TRIGGER only_along_arrows BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({arrows})"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
