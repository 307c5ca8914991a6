"""The files that were taken in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

GRANTS = {
    "feed_files": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    op.create_table(
        "feed_files",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('customers', 'opening-balances', 'earned-points')", name=op.f("ck_feed_files_kind_known")),
        sa.CheckConstraint("lines = new + changed + unchanged", name=op.f("ck_feed_files_every_line_counted")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_feed_files")),
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redemption_service")


def downgrade() -> None:
    op.drop_table("feed_files")
