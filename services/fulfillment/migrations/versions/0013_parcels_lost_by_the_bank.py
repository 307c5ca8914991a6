"""A parcel may be lost on its way to a branch, or at it."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ARROWS = (
    "'preparing>cancelled', 'preparing>dispatching', 'dispatching>dispatched', 'dispatching>cancelled', 'dispatched>failed', "
    "'dispatched>delivered', 'dispatched>returned', 'dispatched>lost', 'failed>delivered', 'failed>returned', 'failed>lost', "
    "'preparing>in_transfer', 'in_transfer>ready', 'in_transfer>lost', 'ready>lost', 'ready>collected', 'ready>returned'"
)
CHECKS = {
    "code_once_ready": "(way = 'pickup' AND state = 'lost') "
    "OR (ready_until IS NOT NULL) = (way = 'pickup' AND state NOT IN ('preparing', 'in_transfer', 'cancelled'))",
    "state_of_its_way": "(way = 'courier' AND state IN ('preparing', 'dispatching', 'dispatched', 'failed', 'delivered', "
    "'returned', 'lost', 'cancelled')) OR (way = 'pickup' AND state IN ('preparing', "
    "'in_transfer', 'ready', 'collected', 'returned', 'lost', 'cancelled'))",
}


def upgrade() -> None:
    for name, check in CHECKS.items():
        op.drop_constraint(op.f(f"ck_parcels_{name}"), "parcels")
        op.create_check_constraint(op.f(f"ck_parcels_{name}"), "parcels", check)
    op.execute("DROP TRIGGER only_along_arrows ON parcels")
    op.execute(
        "CREATE TRIGGER only_along_arrows BEFORE UPDATE ON parcels FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION only_along_arrows({ARROWS})"
    )


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
