"""All tables of this service: importing them fills the collection that the migrations are compared with."""

from services.redemption.customers import tables as customers
from services.redemption.feeds import tables as feeds
from services.redemption.metadata import metadata
from services.redemption.points import tables as points
from services.redemption.redemptions import tables as redemptions

__all__ = ["customers", "feeds", "metadata", "points", "redemptions"]
