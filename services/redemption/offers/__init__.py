"""Offers, as the catalog tells of them."""
