"""Fulfillment: what customers get for a redemption; today e-vouchers, from their issue to their use at a till."""
