"""Every table of fulfillment, imported once so that `metadata` holds them all."""

from services.fulfillment.branches import tables as branches
from services.fulfillment.carriers import tables as carriers
from services.fulfillment.fulfillments import tables as fulfillments
from services.fulfillment.merchants import tables as merchants
from services.fulfillment.notices import tables as notices
from services.fulfillment.parcels import tables as parcels
from services.fulfillment.tills import tables as tills
from services.fulfillment.vouchers import tables as vouchers

__all__ = ["branches", "carriers", "fulfillments", "merchants", "notices", "parcels", "tills", "vouchers"]
