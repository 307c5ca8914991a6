"""Every table of the catalog, imported once so that `metadata` holds them all."""

from services.catalog.campaigns import tables as campaigns
from services.catalog.merchants import tables as merchants
from services.catalog.reservations import tables as reservations
from services.catalog.returns import tables as returns
from services.catalog.stock import tables as stock

__all__ = ["campaigns", "merchants", "reservations", "returns", "stock"]
