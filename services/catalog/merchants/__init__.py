"""Merchants and their terminals (K10)."""
