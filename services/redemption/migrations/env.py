"""What alembic runs: redemption's tables, and how to reach its database."""

from alembic import context

from services.redemption.tables import metadata
from shared.migrations import run_from_env

run_from_env(metadata, context.config.attributes["url"])
