"""Customers are told, too, of parcels that were lost and of those that the carrier does not take."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_notices_kind_known"), "notices")
    op.create_check_constraint(
        op.f("ck_notices_kind_known"),
        "notices",
        "kind IN ('parcel_dispatched', 'parcel_delivered', 'delivery_failed', 'pickup_ready', 'pickup_reminder', "
        "'pickup_expired', 'parcel_returned', 'parcel_lost', 'parcel_refused')",
    )


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
