"""Branches: where customers collect parcels, as the bank's own list has them (F2)."""
