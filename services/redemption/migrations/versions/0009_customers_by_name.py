"""Customers are found by their name, too: its HMAC, empty in the rows that are there until the worker comes by."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customers", sa.Column("name_lookup", sa.LargeBinary(), nullable=True))
    op.create_check_constraint(op.f("ck_customers_name_lookup_whole"), "customers", "octet_length(name_lookup) = 32")
    op.create_index("ix_customers_name", "customers", ["name_lookup", "id"], unique=False)
    op.create_index(
        "ix_customers_without_name_lookup",
        "customers",
        ["id"],
        unique=False,
        postgresql_where=sa.text("name_lookup IS NULL"),
    )
    op.execute("GRANT UPDATE (name_lookup) ON customers TO redemption_service")


def downgrade() -> None:
    op.drop_column("customers", "name_lookup")
