"""Parcels that are picked up at my branch."""
