"""What carriers say of parcels, and what customers are told of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What was said stays said: of an event the service may change only whether it was applied, of a notice how its sending went.
GRANTS = {
    "carrier_events": "SELECT, INSERT, UPDATE (applied_at)",
    "notices": "SELECT, INSERT, UPDATE (state, language, attempts, reference, failure, changed_at)",
}
ARROWS = {"notices": "'pending>sent', 'pending>failed'"}


def upgrade() -> None:
    op.create_table(
        "carrier_events",
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('picked_up', 'in_transit', 'out_for_delivery', 'delivered', 'delivery_failed', 'returned', 'lost')",
            name=op.f("ck_carrier_events_kind_known"),
        ),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_carrier_events_sequence_positive")),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 64", name=op.f("ck_carrier_events_id_short")),
        sa.CheckConstraint("length(tracking_number) BETWEEN 1 AND 64", name=op.f("ck_carrier_events_tracking_number_short")),
        sa.CheckConstraint("length(reference) <= 64", name=op.f("ck_carrier_events_reference_short")),
        sa.CheckConstraint("length(place) <= 200", name=op.f("ck_carrier_events_place_short")),
        sa.PrimaryKeyConstraint("carrier", "id", name=op.f("pk_carrier_events")),
    )
    op.create_index(
        "ix_carrier_events_waiting",
        "carrier_events",
        ["carrier", "tracking_number"],
        unique=False,
        postgresql_where=sa.text("applied_at IS NULL"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'sent', 'failed')", name=op.f("ck_notices_state_known")),
        sa.CheckConstraint(
            "kind IN ('parcel_dispatched', 'parcel_delivered', 'delivery_failed', 'pickup_ready', 'pickup_reminder', "
            "'pickup_expired', 'parcel_returned')",
            name=op.f("ck_notices_kind_known"),
        ),
        sa.CheckConstraint("language IN ('zh_hans', 'zh_hant', 'en')", name=op.f("ck_notices_language_known")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_notices_attempts_not_negative")),
        sa.CheckConstraint("(state = 'sent') = (language IS NOT NULL)", name=op.f("ck_notices_sent_in_a_language")),
        sa.CheckConstraint("(state = 'sent') = (reference IS NOT NULL)", name=op.f("ck_notices_sent_under_a_reference")),
        sa.CheckConstraint("state <> 'failed' OR failure IS NOT NULL", name=op.f("ck_notices_failed_with_reason")),
        sa.CheckConstraint("octet_length(facts::text) <= 8192", name=op.f("ck_notices_facts_small")),
        sa.CheckConstraint("length(failure) <= 500", name=op.f("ck_notices_failure_short")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_customer", "notices", ["customer_id", "requested_at", "id"], unique=False)
    for table, arrows in ARROWS.items():
        op.execute(
            f"CREATE TRIGGER only_along_arrows BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({arrows})"
        )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
