"""Whether a carrier said the same of a parcel when it was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("confirmed_at", "contradicted_at"):
        op.add_column("carrier_events", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        op.execute(f"GRANT UPDATE ({name}) ON carrier_events TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
