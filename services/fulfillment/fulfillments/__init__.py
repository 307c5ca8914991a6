"""Fulfillments: what redemption asks to be handed out, accepted once and carried out in the same commit."""
