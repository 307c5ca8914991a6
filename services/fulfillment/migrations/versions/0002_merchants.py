"""The mirror of the catalog's merchants and terminals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = {
    "merchants": "SELECT, INSERT, UPDATE, DELETE",
    "terminals": "SELECT, INSERT, UPDATE, DELETE",
    "mirrors": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    op.create_table(
        "merchants",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("accepts_vouchers", sa.Boolean(), nullable=False),
        sa.Column("contract_from", sa.Date(), nullable=False),
        sa.Column("contract_until", sa.Date(), nullable=False),
        sa.CheckConstraint("contract_from <= contract_until", name=op.f("ck_merchants_contract_forward")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_merchants")),
    )
    op.create_table(
        "terminals",
        sa.Column("merchant_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_code"], ["merchants.code"], name=op.f("fk_terminals_merchant_code"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("merchant_code", "code", name=op.f("pk_terminals")),
    )
    op.create_table(
        "mirrors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mirrors")),
    )
    for table, rights in GRANTS.items():
        op.execute(f"GRANT {rights} ON {table} TO fulfillment_service")


def downgrade() -> None:
    raise RuntimeError("the way back is the backup taken before an upgrade")
