"""Every table of fulfillment, imported once so that `metadata` holds them all."""

from services.fulfillment.fulfillments import tables as fulfillments
from services.fulfillment.merchants import tables as merchants
from services.fulfillment.tills import tables as tills
from services.fulfillment.vouchers import tables as vouchers

__all__ = ["fulfillments", "merchants", "tills", "vouchers"]
