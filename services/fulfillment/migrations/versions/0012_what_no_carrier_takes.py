"""A parcel that its carrier does not take comes to an end."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ARROWS = (
    "'preparing>cancelled', 'preparing>dispatching', 'dispatching>dispatched', 'dispatching>cancelled', 'dispatched>failed', "
    "'dispatched>delivered', 'dispatched>returned', 'dispatched>lost', 'failed>delivered', 'failed>returned', 'failed>lost', "
    "'preparing>in_transfer', 'in_transfer>ready', 'ready>collected', 'ready>returned'"
)


def upgrade() -> None:
    op.add_column("parcels", sa.Column("refusals", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(op.f("ck_parcels_refusals_not_negative"), "parcels", "refusals >= 0")
    op.execute("GRANT UPDATE (refusals) ON parcels TO fulfillment_service")
    op.execute("DROP TRIGGER only_along_arrows ON parcels")
    op.execute(
        "CREATE TRIGGER only_along_arrows BEFORE UPDATE ON parcels FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({ARROWS})"
    )
    # Whether a parcel that was cancelled is on its way all the same: its carrier speaks of it, and it has no tracking number.
    op.create_index(
        "ix_carrier_events_unheard",
        "carrier_events",
        ["reference"],
        unique=False,
        postgresql_where=sa.text("applied_at IS NULL"),
    )


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
