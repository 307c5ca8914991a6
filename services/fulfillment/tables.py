"""Every table of fulfillment, imported once so that `metadata` holds them all."""

from services.fulfillment.branches import tables as branches
from services.fulfillment.fulfillments import tables as fulfillments
from services.fulfillment.merchants import tables as merchants
from services.fulfillment.parcels import tables as parcels
from services.fulfillment.tills import tables as tills
from services.fulfillment.vouchers import tables as vouchers

__all__ = ["branches", "fulfillments", "merchants", "parcels", "tills", "vouchers"]
