"""Reservations: stock, quota and budget kept for one redemption, in one commit."""
