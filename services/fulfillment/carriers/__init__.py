"""Carriers: what they say of parcels, believed when it is signed, written down once, and asked for when it stays out (F1)."""
