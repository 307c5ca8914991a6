"""The few tasks that were taken and never returned are found without reading all that are due."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    suspect = sa.text("state = 'ready' AND claims_unreturned >= 2")
    op.create_index("ix_tasks_suspect", "tasks", ["kind", "run_at"], postgresql_where=suspect)


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
