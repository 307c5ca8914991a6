"""All tables of this service: importing them fills the collection that the migrations are compared with."""

from services.redemption.addresses import tables as addresses
from services.redemption.customers import tables as customers
from services.redemption.deliveries import tables as deliveries
from services.redemption.feeds import tables as feeds
from services.redemption.metadata import metadata
from services.redemption.points import tables as points
from services.redemption.reconciliation import tables as reconciliation
from services.redemption.redemptions import tables as redemptions
from services.redemption.returns import tables as returns

__all__ = ["addresses", "customers", "deliveries", "feeds", "metadata", "points", "reconciliation", "redemptions", "returns"]
