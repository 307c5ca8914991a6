"""By whom and at which branch a wrong pickup code was tried, and rows to lock so that nobody's are counted twice at once."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("person", "branch"):
        # of those before nobody knows whose they were: they count against the parcel alone
        op.add_column("pickup_attempts", sa.Column(name, sa.Text(), server_default="", nullable=False))
        op.alter_column("pickup_attempts", name, server_default=None)
        op.create_index(f"ix_pickup_attempts_{name}_at", "pickup_attempts", [name, "at"], unique=False)
    op.create_table(
        "pickup_counts",
        sa.Column("of", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("of", name=op.f("pk_pickup_counts")),
    )
    # locking a row takes the right to change it; there is nothing in it to change
    op.execute('GRANT SELECT, INSERT, UPDATE ("of") ON pickup_counts TO fulfillment_service')


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
