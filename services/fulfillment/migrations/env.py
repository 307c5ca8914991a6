"""What alembic runs: fulfillment's tables, and how to reach its database."""

from alembic import context

import services.fulfillment.tables  # noqa: F401 - every table is defined
from services.fulfillment.metadata import metadata
from shared.migrations import run_from_env

run_from_env(metadata, context.config.attributes["url"])
