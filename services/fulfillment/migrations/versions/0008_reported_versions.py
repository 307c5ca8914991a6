"""Which version of a fulfillment redemption was told of last."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fulfillments", sa.Column("reported_version", sa.Integer(), server_default="1", nullable=False))
    op.create_check_constraint(
        op.f("ck_fulfillments_reported_in_range"), "fulfillments", "reported_version BETWEEN 1 AND version"
    )
    op.execute("GRANT UPDATE (reported_version) ON fulfillments TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
