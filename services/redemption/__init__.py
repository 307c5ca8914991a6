"""Redemption: customers, their points, and what they redeem them for."""
